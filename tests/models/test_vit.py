import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn
from transformers.utils import logging as transformers_logging

from regard.errors import CheckpointError, GeometryError
from regard.intercept.record import record
from regard.models.family import LoadedModel, Prepared
from regard.models.vit import block_of, family
from regard.tokens import Tokens
from regard.tokens.grid import GridTokens

Checkpoints = Callable[[str], Path]

PREFIX = {
    "vit": ("cls",),
    "deit": ("cls", "distillation"),
    "dinov2": ("cls",),
    "dinov2_with_registers": ("cls", "register 1", "register 2"),
    "dinov3_vit": ("cls", "register 1", "register 2"),
    "clip": ("cls",),
    "siglip": (),
}
ANY_SIZE = ("dinov2", "dinov2_with_registers", "dinov3_vit")
TYPES = tuple(PREFIX)


def load(folder: Path) -> LoadedModel:
    return family.load(folder, name=folder.name, licence="not stated", origin="a test")


@dataclass
class Call:
    """An attention call as a recording has it."""

    layer: str
    shape: tuple[int, int, int, int]
    queries: Tokens = field(default_factory=lambda: Tokens(1))
    keys: Tokens = field(default_factory=lambda: Tokens(1))


@dataclass
class Run:
    """The calls of one forward pass, and what went into the first block's attention."""

    calls: list[Call]
    embedded: torch.Tensor


@contextmanager
def watched(loaded: LoadedModel) -> Iterator[tuple[list[Call], list[torch.Tensor]]]:
    """Notes the real sizes of every attention module's input."""
    calls: list[Call] = []
    inputs: list[torch.Tensor] = []

    def note(path: str) -> Callable[..., None]:
        def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            given = [each for each in (*args, *kwargs.values()) if isinstance(each, torch.Tensor)]
            queries, keys = given[0], given[1 if path == "head.attention" else 0]
            inputs.append(queries)
            calls.append(Call(path, (len(queries), 2, queries.shape[1], keys.shape[1])))

        return hook

    paths = [path for path, _ in loaded.module.named_modules()]
    handles = [
        loaded.module.get_submodule(path).register_forward_pre_hook(note(path), with_kwargs=True)
        for path in (*loaded.layers, *(path for path in paths if path == "head.attention"))
    ]
    try:
        yield calls, inputs
    finally:
        for handle in handles:
            handle.remove()


def run(loaded: LoadedModel, prepared: Prepared) -> Run:
    with watched(loaded) as (calls, inputs), torch.inference_mode():
        loaded.module(**prepared.inputs)
    return Run(calls, inputs[0])


def attention_of(loaded: LoadedModel) -> str:
    module: Any = loaded.module
    return str(module.config._attn_implementation)


def painted(photo: Image.Image, box_xyxy: tuple[float, float, float, float]) -> Image.Image:
    changed = photo.copy()
    left, top, right, bottom = (round(edge) for edge in box_xyxy)
    changed.paste((255, 255, 255), (left, top, right, bottom))
    return changed


def middle_of(box_xyxy: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """A quarter of the box, around its middle."""
    x0, y0, x1, y1 = box_xyxy
    x, y, width, height = (x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 4, (y1 - y0) / 4
    return x - width, y - height, x + width, y + height


@pytest.mark.parametrize("model_type", TYPES)
def test_a_token_stands_where_the_layout_says(
    model_type: str, checkpoint: Checkpoints, photo: Image.Image
) -> None:
    """Whiten the region that the layout gives a token: its embedding is the one that changes."""
    loaded = load(checkpoint(model_type))
    options = {"short_side_px": 56} if loaded.size_hw is None else {}
    before = run(loaded, prepared := loaded.prepare(photo, **options))
    loaded.lay_out(before.calls, prepared)
    tokens = before.calls[0].keys
    assert isinstance(tokens, GridTokens)
    assert tokens.prefix == PREFIX[model_type]

    for index in range(len(tokens.prefix), tokens.count, 3):
        changed = painted(photo, middle_of(tokens.box_xyxy(index)))
        after = run(loaded, loaded.prepare(changed, **options))
        change = (after.embedded - before.embedded)[0].norm(dim=-1)
        assert change.argmax() == index == tokens.at(*tokens.center_xy(index))
        assert not change[: len(tokens.prefix)].any()


@pytest.mark.parametrize("model_type", TYPES)
def test_every_call_is_laid_out(
    model_type: str, checkpoint: Checkpoints, photo: Image.Image
) -> None:
    loaded = load(checkpoint(model_type))
    prepared = loaded.prepare(photo)
    calls = run(loaded, prepared).calls
    loaded.lay_out(calls, prepared)

    assert len(calls) == 3 + (model_type == "siglip")
    for call in calls:
        assert (call.queries.count, call.keys.count) == call.shape[2:]
    for block, call in enumerate(calls[:3]):
        assert block_of(call.layer) == block
        assert call.queries is call.keys
        assert isinstance(call.keys, GridTokens)
        assert call.keys.view == prepared.view
        assert call.keys.stride_px == (14, 14)
    if model_type == "siglip":
        assert calls[3].queries == Tokens(1, prefix=("probe",))
        assert calls[3].keys == calls[0].keys


@pytest.mark.parametrize("model_type", TYPES)
def test_a_real_recording_is_laid_out(
    model_type: str, checkpoint: Checkpoints, photo: Image.Image
) -> None:
    loaded = load(checkpoint(model_type))
    prepared = loaded.prepare(photo)
    with torch.inference_mode(), record(loaded.module) as recording:
        loaded.module(**prepared.inputs)
    loaded.lay_out(recording, prepared)

    assert [call.layer for call in recording][:3] == list(loaded.layers)
    assert len(recording) == 3 + (model_type == "siglip")
    assert all(isinstance(call.keys, GridTokens) for call in recording)
    assert recording[-1].queries.name(0) == ("probe" if model_type == "siglip" else "cls")


@pytest.mark.parametrize("model_type", ANY_SIZE)
def test_any_size_means_the_whole_photo(
    model_type: str, checkpoint: Checkpoints, photo: Image.Image
) -> None:
    loaded = load(checkpoint(model_type))
    prepared = loaded.prepare(photo)
    assert list(prepared.inputs["pixel_values"].shape) == [1, 3, 336, 504]
    assert prepared.view.content_box_xyxy == (0.0, 0.0, 504.0, 336.0)
    assert prepared.photo is photo


def test_what_the_preprocessing_cuts_off_is_not_seen(
    checkpoint: Checkpoints, photo: Image.Image, tmp_path: Path
) -> None:
    folder = tmp_path / "clip"
    shutil.copytree(checkpoint("clip"), folder)
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"size": {"shortest_edge": 56}, "do_center_crop": True, "crop_size": 56})
    )
    loaded = load(folder)
    prepared = loaded.prepare(photo)
    # 100 x 150 is resized to 56 x 84; the middle 56 columns are columns 25 to 125 of the photo
    assert prepared.view.to_input(25, 0) == pytest.approx((0, 0))
    assert prepared.view.to_input(125, 100) == pytest.approx((56, 56))
    unseen = loaded.prepare(painted(photo, (0, 0, 15, 100)))
    assert torch.equal(unseen.inputs["pixel_values"], prepared.inputs["pixel_values"])


def test_a_patch_that_does_not_divide_the_input(
    make_checkpoint: Callable[..., Path], photo: Image.Image
) -> None:
    """As so400m-patch14-384: 60 px make 4 patches of 14, and a strip of 4 px that none sees."""
    tower = {"image_size": 60, "patch_size": 14, "hidden_size": 16, "num_hidden_layers": 1}
    tower |= {"num_attention_heads": 2, "intermediate_size": 32}
    loaded = load(make_checkpoint("siglip", vision_config=tower))
    calls = run(loaded, prepared := loaded.prepare(photo)).calls
    loaded.lay_out(calls, prepared)
    assert isinstance(calls[0].keys, GridTokens)
    assert calls[0].keys.grid_hw == (4, 4)
    # the last column ends at input column 56 of 60, which is 140 of the photo's 150
    assert calls[0].keys.box_xyxy(3)[2] == pytest.approx(140)


def test_a_call_of_another_input_is_an_error(checkpoint: Checkpoints, photo: Image.Image) -> None:
    loaded = load(checkpoint("dinov2"))
    calls = run(loaded, loaded.prepare(photo, short_side_px=56)).calls
    message = r"encoder\.layer\.0\.attention.*has 25 queries and 25 keys.*24 rows x 36 columns.*865"
    with pytest.raises(GeometryError, match=message):
        loaded.lay_out(calls, loaded.prepare(photo))


def test_a_call_outside_the_blocks_is_an_error(checkpoint: Checkpoints, photo: Image.Image) -> None:
    loaded = load(checkpoint("dinov2"))
    with pytest.raises(GeometryError, match="neck"):
        loaded.lay_out([Call("neck.attention", (1, 2, 865, 865))], loaded.prepare(photo))


def test_one_size_only_is_said(checkpoint: Checkpoints, photo: Image.Image) -> None:
    loaded = load(checkpoint("vit"))
    with pytest.raises(GeometryError, match="takes 56 x 56 px only, so short_side_px=112"):
        loaded.prepare(photo, short_side_px=112)


def test_a_short_side_of_nothing(checkpoint: Checkpoints, photo: Image.Image) -> None:
    with pytest.raises(GeometryError, match="short_side_px is 0"):
        load(checkpoint("dinov2")).prepare(photo, short_side_px=0)


def test_a_preprocessing_of_another_model(
    checkpoint: Checkpoints, photo: Image.Image, tmp_path: Path
) -> None:
    folder = tmp_path / "vit"
    shutil.copytree(checkpoint("vit"), folder)
    (folder / "preprocessor_config.json").write_text('{"size": 224}')
    with pytest.raises(GeometryError, match=r"makes 224 x 224 px .* takes 56 x 56 px only"):
        load(folder).prepare(photo)


@pytest.mark.parametrize("model_type", TYPES)
def test_the_same_network_as_transformers(model_type: str, checkpoint: Checkpoints) -> None:
    folder = checkpoint(model_type)
    loaded = load(folder)
    whole = transformers.AutoModel.from_pretrained(folder).eval()
    theirs = getattr(whole, "vision_model", whole)
    pixels = torch.randn(1, 3, 56, 56, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        ours = loaded.module(pixel_values=pixels).last_hidden_state
        assert torch.equal(ours, theirs(pixel_values=pixels).last_hidden_state)
    assert not any(module.training for module in loaded.module.modules())
    assert {each.dtype for each in loaded.module.parameters()} == {torch.float32}
    assert attention_of(loaded) == "sdpa"


def test_the_default_layer_is_the_second_to_last(
    make_checkpoint: Callable[..., Path], checkpoint: Checkpoints
) -> None:
    assert load(checkpoint("dinov2")).default_layer == "encoder.layer.1.attention"
    assert load(checkpoint("clip")).default_layer == "encoder.layers.1.self_attn"
    assert load(make_checkpoint("vit", num_hidden_layers=1)).default_layer == "layers.0.attention"


@pytest.mark.parametrize(
    ("layer", "block"),
    [
        ("encoder.layer.10.attention", 10),
        ("model.encoder.layers.3.self_attn", 3),
        ("layers.0.attention", 0),
        ("head.attention", None),
        ("player.3.attention", None),
    ],
)
def test_block_of(layer: str, block: int | None) -> None:
    assert block_of(layer) == block


def test_half_precision_and_pickled_weights_load(checkpoint: Checkpoints, tmp_path: Path) -> None:
    folder = tmp_path / "half"
    shutil.copytree(checkpoint("dinov2"), folder)
    weights = load_file(folder / "model.safetensors")
    half = {name: tensor.half() for name, tensor in weights.items()}
    (folder / "model.safetensors").unlink()
    torch.save(half, folder / "pytorch_model.bin")

    found = load(folder).module.state_dict()
    exact = load(checkpoint("dinov2")).module.state_dict()
    for name, tensor in exact.items():
        assert torch.equal(found[name], tensor.half().float())


def test_a_classifier_checkpoint_gives_its_encoder(tmp_path: Path) -> None:
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    classifier = transformers.ViTForImageClassification(config)
    classifier.save_pretrained(tmp_path)
    found = load(tmp_path).module.state_dict()
    for name, tensor in classifier.vit.state_dict().items():
        assert torch.equal(found[name], tensor)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_hidden_layers": 4}, r"16 missing \(.*layers?\.3\..*; 0 left over"),
        ({"num_hidden_layers": 2}, r"0 missing; 16 left over \(.*layers?\.2\."),
        ({"hidden_size": 32}, "does not load as ViTModel"),
        ({"hidden_act": "no such function"}, "does not load as ViTModel"),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "quantized"),
        ({"num_channels": 4}, "other pictures than RGB"),
    ],
    ids=str,
)
def test_a_configuration_that_does_not_fit_the_weights(
    changes: dict[str, Any], said: str, checkpoint: Checkpoints, tmp_path: Path
) -> None:
    folder = tmp_path / "vit"
    shutil.copytree(checkpoint("vit"), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    with pytest.raises(CheckpointError, match=said):
        load(folder)


def test_a_missing_tensor_is_not_replaced_by_noise(checkpoint: Checkpoints, tmp_path: Path) -> None:
    folder = tmp_path / "dinov2"
    shutil.copytree(checkpoint("dinov2"), folder)
    weights = load_file(folder / "model.safetensors")
    del weights["layernorm.bias"]
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"1 missing \(layernorm\.bias\)"):
        load(folder)


def test_a_configuration_cannot_choose_code(
    checkpoint: Checkpoints, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "dinov2"
    shutil.copytree(checkpoint("dinov2"), folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "auto_map": {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"},
        "_attn_implementation": "eager",
        "attn_implementation": "somebody/kernels",
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text("print('the canary sings')")
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "/elsewhere"}')

    loaded = load(folder)

    assert attention_of(loaded) == "sdpa"
    assert "canary" not in capfd.readouterr().out


def test_transformers_speaks_as_before_afterwards(
    checkpoint: Checkpoints, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def voice() -> tuple[int, bool]:
        return (
            transformers_logging.get_verbosity(),
            transformers_logging.is_progress_bar_enabled(),
        )

    before = voice()
    folder = checkpoint("clip")
    capfd.readouterr()
    load(folder)
    assert capfd.readouterr() == ("", "")
    assert voice() == before

    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    config = json.loads((broken / "config.json").read_text())
    config["vision_config"]["num_hidden_layers"] = 9
    (broken / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError):
        load(broken)
    assert voice() == before


def test_the_real_model_out_of_its_folder(shared_data: Path) -> None:
    loaded = load(shared_data / "weights" / "dinov2_small")
    photo = Image.open(shared_data / "images" / "coco_instances" / "000000303818.jpg")
    prepared = loaded.prepare(photo.convert("RGB"))
    height, width = prepared.view.input_hw
    assert min(height, width) == 336
    assert loaded.default_layer == "encoder.layer.10.attention"
    pixels = prepared.inputs["pixel_values"].numpy()
    assert np.isfinite(pixels).all()
