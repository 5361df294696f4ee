"""Checkpoint files as training writes them, and what is refused."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dvis_reference import Reference
from regard.errors import CheckpointError, ModelNotFound, UnsafeCheckpoint
from regard.models.dvis_daq.architecture import build_backbone
from regard.models.dvis_daq.checkpoint import from_state, load
from regard.models.dvis_daq.resnet import ResNet


def test_a_training_checkpoint_loads(reference: Reference, tmp_path: Path) -> None:
    state = reference.state()
    state["daq_criterion.empty_weight"] = torch.ones(6)
    file = tmp_path / "DAQ_Offline_R50.pth"
    torch.save({"model": state, "iteration": 7, "optimizer": {"state": {}}}, file)
    model = load(file)
    assert not model.training
    assert model.refiner is not None
    assert torch.equal(model.tracker.bg_slots.weight, state["tracker.bg_slots.weight"].float())


def test_safetensors_load(reference: Reference, tmp_path: Path) -> None:
    save_file(reference.state(offline=False), tmp_path / "online.safetensors")
    assert load(tmp_path / "online.safetensors").refiner is None


def test_older_names_of_the_learned_queries_load(reference: Reference) -> None:
    state = reference.state()
    queries = state.pop("sem_seg_head.predictor.query_feat.weight")
    model = from_state(state | {"sem_seg_head.predictor.static_query.weight": queries})
    assert torch.equal(model.learned_queries, queries.float())


def test_local_convolution_is_found(reference: Reference) -> None:
    model = reference.model(local_conv=True)
    assert model.refiner is not None
    assert model.refiner.local_conv


def test_basic_blocks_are_found() -> None:
    made = ResNet(stem_channels=4, blocks=(1, 2, 1, 1), inner_channels=None, channels=(4, 8, 8, 16))
    read = build_backbone(made.state_dict())
    read.load_state_dict(made.state_dict())
    pixels = torch.rand(1, 3, 64, 64)
    for found, expected in zip(read(pixels), made(pixels), strict=True):
        assert torch.equal(found, expected)


def test_a_missing_tensor_is_named(reference: Reference) -> None:
    state = reference.state()
    del state["tracker.decoder_norm.bias"]
    with pytest.raises(CheckpointError, match=r"lacks tracker\.decoder_norm\.bias"):
        from_state(state)


def test_an_unknown_tensor_is_named(reference: Reference) -> None:
    state = reference.state() | {"tracker.surprise": torch.zeros(1)}
    with pytest.raises(CheckpointError, match=r"has unknown tracker\.surprise"):
        from_state(state)


def test_a_tensor_of_another_shape_is_named(reference: Reference) -> None:
    state = reference.state() | {"tracker.decoder_norm.bias": torch.zeros(3)}
    with pytest.raises(CheckpointError, match=r"tracker\.decoder_norm\.bias \(3,\) instead"):
        from_state(state)


def test_another_model_is_refused(reference: Reference) -> None:
    with pytest.raises(CheckpointError, match="backbone is none of those"):
        from_state({"weight": torch.zeros(1)})
    state = {k: v for k, v in reference.state().items() if not k.startswith("tracker.")}
    with pytest.raises(CheckpointError, match="no DVIS-DAQ checkpoint"):
        from_state(state)


def test_code_is_never_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "ran",)  # type: ignore[return-value]

    torch.save({"model": {"weight": Bomb()}}, tmp_path / "bomb.pth")
    with pytest.raises(UnsafeCheckpoint):
        load(tmp_path / "bomb.pth")
    assert not (tmp_path / "ran").exists()


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="there is no file"):
        load(tmp_path / "none.pth")
