"""What is in the zoo: names, counts, and how entries are found."""

import re
from collections import Counter

import pytest

from regard.errors import SelectionError
from regard.zoo import ROOMS, find, named, room
from regard.zoo.entry import Entry

ENTRIES = [e for name in ROOMS for e in room(name)]


def test_names_are_unique() -> None:
    assert [name for name, count in Counter(e.name for e in ENTRIES).items() if count > 1] == []


@pytest.mark.parametrize(
    ("library", "count"),
    [("transformers", 130), ("timm", 40), ("torchvision", 7), ("diffusers", 20)],
)
def test_every_library_is_well_represented(library: str, count: int) -> None:
    """Attention-free models are there to show that nothing is made up, and do not count."""
    attending = [e for e in ENTRIES if e.library == library and (e.calls or e.unrecorded)]
    assert len(attending) >= count


def test_most_run_by_default() -> None:
    assert sum(e.library == "transformers" and not e.slow for e in ENTRIES) >= 100


@pytest.mark.parametrize("e", ENTRIES, ids=str)
def test_calls_are_written_in_one_way(e: Entry) -> None:
    part = r"[1-9][0-9]* (sdpa|softmax|explicit|deformable|stitched)"
    assert re.fullmatch(rf"|{part}(, {part})*", e.calls)
    assert e.softmaxes != e.count, "left out where it is the number of calls"


def test_entries_are_found_by_glob_and_by_word() -> None:
    assert [e.name for e in find("sam*")["segmentation"]] == [
        *("sam", "sam eager", "sam_hq", "sam2", "sam3")
    ]
    assert set(find("timm")) == {"vision_libraries"}
    assert sum(len(entries) for entries in find().values()) == len(ENTRIES)
    assert named("vit").count == 2


@pytest.mark.parametrize("search", [find, named])
def test_what_is_not_there_is_an_error(search: object) -> None:
    assert callable(search)
    with pytest.raises(SelectionError, match=r"no architecture of the zoo .* 'alexnet'"):
        search("alexnet")


def test_a_missing_library_is_told() -> None:
    e = Entry("a", "no_such_library", lambda: pytest.fail("never built"), "1 sdpa")
    assert e.missing == "no_such_library is not installed"
