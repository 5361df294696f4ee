"""The miniatures that the package ships."""

import hashlib

import pytest

from regard.errors import ModelNotFound
from regard.miniatures import WEIGHTS_SHA256, miniature_folder

LARGEST_BYTES = 3 * 2**20


@pytest.mark.parametrize("name", WEIGHTS_SHA256)
def test_weights_are_the_ones_that_the_card_describes(name: str) -> None:
    folder = miniature_folder(name)
    weights = b"".join(path.read_bytes() for path in sorted(folder.rglob("*.safetensors")))
    assert hashlib.sha256(weights).hexdigest() == WEIGHTS_SHA256[name]
    assert len(weights) <= LARGEST_BYTES
    assert (folder / "README.md").is_file()


def test_a_name_that_does_not_exist() -> None:
    with pytest.raises(ModelNotFound, match="no miniature 'mini-cat'"):
        miniature_folder("mini-cat")
