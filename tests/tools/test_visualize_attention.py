from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from aoanet import OPTIONS, captioner, photo, region_features, words, write_cnn, write_files
from regard.errors import CheckpointError, DeviceError, SelectionError
from regard.models.aoanet import Decoding, Features, whole_photo_grid
from regard.tools.visualize_attention import main, visualize_attention_on_image

LAYERS = [*(f"refiner.layers.{i}.self_attn" for i in range(6)), "core.attention"]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    photo().save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def arguments(tmp_path: Path, image: Path) -> list[str]:
    model, infos = write_files(tmp_path)
    cnn = write_cnn(tmp_path / "cnn.safetensors", 10)
    given = ["--image", image, "--infos_path", infos, "--model", model, "--cnn", cnn]
    return [*map(str, given), "--output", str(tmp_path / "out")]


def test_the_files_that_the_guide_names(tmp_path: Path, arguments: list[str]) -> None:
    assert main([*arguments, "--save-raw"]) == 0
    out = tmp_path / "out"
    for number, layer in enumerate(LAYERS):
        assert (out / f"attn_map_layer_{number}_{layer}.png").is_file()
        assert (out / f"heatmap_layer_{number}_{layer}.png").is_file()
        raw = np.load(out / f"attn_raw_layer_{number}.npy")
        assert raw.shape[:2] == (1, 4)
        assert raw.shape[3] == 196
        np.testing.assert_allclose(raw.sum(-1), 1, atol=1e-5)  # float32 softmax


def test_one_layer_and_each_head(tmp_path: Path, arguments: list[str]) -> None:
    assert main([*arguments, "--layer", "0", "--no-avg-heads"]) == 0
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == sorted(
        f"{kind}_layer_0_{LAYERS[0]}_head_{head}.png"
        for kind in ("attn_map", "heatmap")
        for head in range(4)
    )


def test_failures_are_one_line(
    tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    without = [a for a in arguments if "cnn" not in Path(a).name]
    for given, says in (
        (without, "takes features, not pixels"),
        ([*arguments, "--layer", "7"], "layer 7 does not exist; there are 7"),
        ([*arguments, "--head", "4"], "head 4 does not exist"),
        ([*arguments, "--device", "nowhere"], "cannot use device 'nowhere'"),
    ):
        assert main(given) == 1
        error = capsys.readouterr().err
        assert says in error
        assert error.count("\n") == 1


def test_words_of_the_decoder_differ(tmp_path: Path, image: Path) -> None:
    written = visualize_attention_on_image(
        captioner(),
        str(image),
        output_dir=tmp_path / "o",
        layer_idx=-1,
        head_idx=1,
        save_raw=True,
        features=region_features(),
        decoding=Decoding(beam=3),
    )
    raw = np.load(written[-1])
    maps = [path for path in written if path.name.startswith("heatmap")]
    assert len(maps) == raw.shape[2] + 1
    assert len({path.read_bytes() for path in maps}) == len(maps)


class Official(nn.Module):
    """As the official model carries its options, words and weights."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = captioner().network
        self.opt = SimpleNamespace(**OPTIONS)
        self.vocab = {str(token): word for token, word in words().items()}

    def state_dict(self, *_: object, **__: object) -> dict[str, torch.Tensor]:  # type: ignore[override]
        return self.inner.state_dict()


def test_the_official_model_itself_is_taken(tmp_path: Path, image: Path) -> None:
    calls = [
        visualize_attention_on_image(
            model,
            image,
            "cpu",
            tmp_path / name,
            6,
            save_raw=True,
            features=Features(torch.ones(4, 10), whole_photo_grid((2, 2), (60, 80))),
        )
        for name, model in (("a", Official()), ("b", captioner()))
    ]
    for ours, theirs in zip(*calls, strict=True):
        assert ours.read_bytes() == theirs.read_bytes()


def test_what_is_refused(tmp_path: Path, image: Path) -> None:
    with pytest.raises(SelectionError, match="features, not pixels"):
        visualize_attention_on_image(captioner(), image)
    with pytest.raises(CheckpointError, match="Linear has no opt and vocab"):
        visualize_attention_on_image(nn.Linear(1, 1), image, features=region_features())
    with pytest.raises(DeviceError):
        visualize_attention_on_image(captioner(), image, "nowhere", features=region_features())
