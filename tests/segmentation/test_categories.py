"""Class names and numbers against COCO's own file."""

import json
from pathlib import Path

from regard.segmentation.categories import Categories, coco_panoptic


def test_the_table_is_cocos(shared: Path) -> None:
    path = shared / "data/images/coco_panoptic/panoptic.json"
    rows = json.loads(path.read_text())["categories"]
    assert coco_panoptic() == {row["id"]: (row["name"], bool(row["isthing"])) for row in rows}


def test_models_are_known_by_their_count_and_names() -> None:
    by_id, in_order = Categories.of(250), Categories.of(133)
    assert (by_id.names[17], in_order.names[15]) == ("cat", "cat")
    assert (by_id.dataset_ids[17], in_order.dataset_ids[15]) == (17, 17)
    assert (sum(in_order.is_thing), in_order.names[80]) == (80, "banner")
    assert by_id.is_thing[90]
    assert not by_id.is_thing[92]
    assert Categories.of(19).names[13] == "car"


def test_other_names_than_cocos_win() -> None:
    own = {i: f"part {i}" for i in range(133)}
    found = Categories.of(133, own)
    assert found.names[0] == "part 0"
    assert all(found.is_thing)
    assert Categories.of(133, {i: f"LABEL_{i}" for i in range(133)}).names[0] == "person"
    assert Categories.of(4).name(2) == "class 2"
