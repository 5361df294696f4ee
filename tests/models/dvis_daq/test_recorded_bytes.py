"""Bytes of a recording as they are told before a run, against those of recordings."""

import pytest
import torch
from torch import nn

import regard
from dvis_reference import ONLINE, Reference
from regard.geometry import ViewTransform
from regard.models.dvis_daq.architecture import build_backbone
from regard.models.dvis_daq.model import DvisDaq
from regard.models.dvis_daq.recorded_bytes import recorded_bytes
from regard.models.dvis_daq.swin import Swin
from regard.storage import pack

INPUT_HW = (192, 256)
VIEW = ViewTransform.identity(INPUT_HW)


def told(model: DvisDaq, keep: str = "all", frames: int = 3) -> int:
    size: int = recorded_bytes(model, VIEW, ONLINE, keep, (6, 7, 8), frames)  # type: ignore[arg-type]
    return size


def swin() -> nn.Module:
    return Swin(channels=16, blocks=(2, 2, 2, 2), heads=(1, 2, 4, 8), window=7)


def vit_adapter(reference: Reference) -> nn.Module:
    state = reference.file("weights_vit_adapter")
    adapter: nn.Module = build_backbone({name: tensor.float() for name, tensor in state.items()})
    return adapter


@pytest.mark.parametrize("kind", ["swin", "vit_adapter"])
def test_backbones_come_on_top(reference: Reference, kind: str) -> None:
    model = reference.model()
    without = told(model)
    model.backbone = swin() if kind == "swin" else vit_adapter(reference)
    with torch.no_grad(), regard.record(model.backbone.eval(), keep="qk") as recording:
        model.backbone(torch.randn(3, 3, *INPUT_HW))
    assert told(model) - without == pytest.approx(sum(map(len, pack(recording))), rel=0.05)


def test_an_online_model_takes_less_by_its_refiner(reference: Reference) -> None:
    whole, online = reference.model(), reference.model(offline=False)
    with torch.no_grad(), regard.record(whole.refiner, keep="qk") as recording:  # type: ignore[arg-type]
        whole.refiner(torch.randn(20, 3, 64), torch.randn(3, 20, 64))  # type: ignore[misc]
    assert told(whole) - told(online) == pytest.approx(sum(map(len, pack(recording))), rel=0.05)


def test_attention_over_time_grows_with_the_square_of_the_length(reference: Reference) -> None:
    sizes = [told(reference.model(), "predicted", frames) for frames in (100, 200, 300)]
    rows, layers, heads = 20, 6, 4
    assert sizes[2] - 2 * sizes[1] + sizes[0] == rows * layers * heads * 4 * 2 * 100**2


@pytest.mark.parametrize("keep", ["all", "predicted", "maps"])
def test_no_frames_take_nothing(reference: Reference, keep: str) -> None:
    model = reference.model()
    assert told(model, keep, frames=0) == 0
    assert 0 < told(model, keep, frames=1) < told(model, keep, frames=2)
