"""No architecture of the zoo is left without a layout."""

import pytest
import torch

import regard
from regard.zoo import ROOMS, room
from regard.zoo.entry import Entry

ENTRIES = [
    e
    for name in ROOMS
    for e in room(name)
    if e.count and e.library in ("transformers", "diffusers")
]
UNTOLD = {
    "perceiver": "no pixels among the inputs",  # it is given features of no picture
    "lxmert": "but not how large it is",
    **dict.fromkeys(("flux", "flux2", "chroma"), "are no grid"),  # its places are a diagonal
}
"""What the inputs of an entry do not say."""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of other libraries
@pytest.mark.parametrize("e", ENTRIES, ids=str)
def test_an_architecture_has_its_layouts(e: Entry) -> None:
    if e.missing:
        pytest.skip(e.missing)
    model, inputs = e.build()
    assert isinstance(inputs, dict)
    torch.manual_seed(0)
    with torch.no_grad(), regard.record(model) as recording:
        model(**inputs)
    unplaced = regard.lay_out(recording, model, inputs)
    if e.name in UNTOLD:
        assert unplaced
        assert all(UNTOLD[e.name] in item.reason for item in unplaced)
    else:
        assert unplaced == []
