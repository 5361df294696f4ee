"""From a photo to its pictures, with tiny checkpoints of every kind of model."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import regard
from regard import Look, PhotoAttention
from regard.errors import GeometryError, MediaError, SelectionError
from regard.models.family import LoadedModel
from regard.photo import blank

MODELS = ("dinov2", "dinov2_with_registers", "vit", "clip", "siglip")
WITHOUT_CLS = ("siglip",)

Loaded = Callable[[str], LoadedModel]


@pytest.fixture(scope="session")
def loaded(checkpoint: Callable[[str], Path]) -> Loaded:
    """The tiny model of a type, loaded once."""
    made: dict[str, LoadedModel] = {}

    def get(model_type: str) -> LoadedModel:
        if model_type not in made:
            made[model_type] = regard.load_model(checkpoint(model_type))
        return made[model_type]

    return get


def noise(width: int = 90, height: int = 60) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def look_at(model: LoadedModel, photo: Any = None, **options: Any) -> PhotoAttention:
    """The attention in a photo; 56 px a side is as small as these models see."""
    side = {} if model.size_hw else {"short_side_px": 56}
    return regard.image(noise() if photo is None else photo, model=model, **side | options)


@pytest.fixture(scope="session")
def result(loaded: Loaded) -> PhotoAttention:
    """DINOv2 on a photo of 90 x 60 px: 4 x 6 patches after CLS, 3 layers of 2 heads."""
    return look_at(loaded("dinov2"))


# What is seen


@pytest.mark.parametrize("model_type", MODELS)
def test_shows_the_recorded_weights_of_cls_or_of_all(loaded: Loaded, model_type: str) -> None:
    result = look_at(loaded(model_type))
    (call,) = result.recording.find(loaded(model_type).default_layer)
    if model_type in WITHOUT_CLS:
        assert torch.equal(result.weights(), call.weights().mean(2)[0])
        assert "query mean of all" in result.words
    else:
        assert torch.equal(result.weights(), call.weights(0)[0, :, 0])
        assert "query CLS" in result.words


@pytest.mark.parametrize("model_type", MODELS)
def test_heat_in_cells_sums_to_the_share_of_the_photo(loaded: Loaded, model_type: str) -> None:
    result = look_at(loaded(model_type), between="cells")
    share = result.call.keys.shares(result.weights().mean(0))["image"]
    # float32 sums of 5,400 pixels
    torch.testing.assert_close(result.heat().nansum(), share, rtol=1e-4, atol=0)
    assert result.heat().shape == (60, 90)
    assert result.heat().dtype == torch.float32
    assert result.heat(size_hw=(12, 18)).shape == (12, 18)


def test_a_file_and_its_picture_are_the_same(loaded: Loaded, tmp_path: Path) -> None:
    noise().save(tmp_path / "photo.png")
    from_file = look_at(loaded("dinov2"), tmp_path / "photo.png")
    as_text = look_at(loaded("dinov2"), str(tmp_path / "photo.png"))
    with Image.open(tmp_path / "photo.png") as opened:
        from_picture = look_at(loaded("dinov2"), opened)
    assert torch.equal(from_file.heat(), from_picture.heat())
    assert torch.equal(from_file.heat(), as_text.heat())


@pytest.mark.parametrize("as_picture", [False, True])
def test_a_rotated_photo_is_upright(loaded: Loaded, tmp_path: Path, as_picture: bool) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right by 90 degrees to see it upright
    noise().save(tmp_path / "turned.png", exif=exif)
    photo = Image.open(tmp_path / "turned.png") if as_picture else tmp_path / "turned.png"
    result = look_at(loaded("dinov2"), photo)
    upright = noise().transpose(Image.Transpose.ROTATE_270)
    assert result.photo.tobytes() == upright.tobytes()
    assert torch.equal(result.heat(), look_at(loaded("dinov2"), upright).heat())


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "I;16", "1"])
def test_a_picture_of_any_mode_is_seen_as_its_file(
    loaded: Loaded, tmp_path: Path, mode: str
) -> None:
    if mode == "I;16":
        photo = Image.fromarray(np.arange(5400, dtype=np.uint16).reshape(60, 90) * 12)
    else:
        photo = noise().convert(mode)
    photo.save(tmp_path / "photo.tif")
    from_file = look_at(loaded("dinov2"), tmp_path / "photo.tif")
    assert look_at(loaded("dinov2"), photo).photo.tobytes() == from_file.photo.tobytes()


@pytest.mark.parametrize("size_wh", [(200, 60), (60, 200), (400, 20), (1, 1), (7, 3)])
def test_photos_of_any_shape(loaded: Loaded, size_wh: tuple[int, int]) -> None:
    for model_type in ("dinov2", "vit"):
        result = look_at(loaded(model_type), noise(*size_wh))
        assert result.heat().shape == size_wh[::-1]
        assert result.heat().isfinite().all()
        assert result.summary().size_wh > (1, 1)
        assert result.heads().size_wh > (1, 1)
        assert result.layers_by_heads().size_wh > (1, 1)


def test_what_clip_crops_away_is_not_seen_and_hatched(
    checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = tmp_path / "clip"
    folder.mkdir()
    for file in checkpoint("clip").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "preprocessor_config.json").write_text(
        '{"size": {"shortest_edge": 56}, "crop_size": {"height": 56, "width": 56},'
        ' "do_center_crop": true, "do_resize": true}'
    )
    result = look_at(regard.load_model(folder), blank(120).crop((0, 0, 120, 60)))
    seen = result.heat().isfinite()
    assert list(result.view.seen_box_xyxy) == [30, 0, 90, 60]
    assert seen[:, 30:90].all()
    assert not seen[:, :30].any()
    assert not seen[:, 90:].any()
    assert "outside the model's view" in result.summary().lines
    overlay = np.asarray(result.overlay().image)
    unseen = overlay[:, : overlay.shape[1] // 5].reshape(-1, 3)
    assert len(np.unique(unseen, axis=0)) > 1  # hatched: the photo itself is one grey
    with pytest.raises(GeometryError, match="cropped away"):
        result.of(query=(5, 5))


def test_siglips_pooling_head_shows_what_its_probe_looks_at(loaded: Loaded) -> None:
    result = look_at(loaded("siglip"), layer="*head*")
    assert result.call.shape[2:] == (1, 16)
    assert torch.equal(result.weights(), result.call.weights()[0, :, 0])
    assert "query probe" in result.words
    summary = result.summary()
    assert any("query probe" in line for line in summary.lines)
    assert result.matrix().size_wh > (1, 1)


# What is chosen


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (None, (1,)),
        (0, (0,)),
        (-1, (2,)),
        ("encoder.layer.[02]", (0, 2)),
        ("*", (0, 1, 2)),
    ],
)
def test_layers(loaded: Loaded, layer: int | str | None, expected: tuple[int, ...]) -> None:
    result = look_at(loaded("dinov2"), layer=layer)
    assert result.layers == expected
    assert result.layer == expected[-1]
    assert result.call.layer == f"encoder.layer.{expected[-1]}.attention"


@pytest.mark.parametrize(
    ("query", "index", "words"),
    [
        (0, 0, "query CLS"),
        ("cls", 0, "query CLS"),
        (7, 7, "query row 1, column 0"),
        (-1, 24, "query row 3, column 5"),
        ((89, 59), 24, "query at (89, 59), row 3, column 5"),
    ],
)
def test_queries(result: PhotoAttention, query: Any, index: int, words: str) -> None:
    other = result.of(query=query)
    assert torch.equal(other.weights(), result.call.weights(index)[0, :, 0])
    assert words in other.words
    assert words in repr(other)


def test_the_mean_query(result: PhotoAttention) -> None:
    mean = result.of(query="mean")
    # summed by tiles, divided once
    torch.testing.assert_close(mean.weights(), result.call.weights().mean(2)[0], rtol=1e-6, atol=0)
    assert "query mean of all" in mean.words


@pytest.mark.parametrize(("head", "words"), [(1, "head 1 of 0..1"), (-1, "head 1 of 0..1")])
def test_one_head(result: PhotoAttention, head: int, words: str) -> None:
    one = result.of(head=head)
    assert torch.equal(one.weights(), result.weights()[1:])
    assert words in one.words


def test_another_view_runs_nothing_again(
    loaded: Loaded, result: PhotoAttention, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        pytest.fail("the model ran again")

    monkeypatch.setattr(loaded("dinov2").module, "forward", refuse)
    other = result.of(layer=0, head=1, query=(40, 30), between="cells", look=Look(cmap="jet"))
    assert not torch.equal(other.heat(), result.heat())
    assert other.summary().size_wh > (1, 1)
    assert (result.layer, result.head, result.query) == (1, None, None)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"layer": 3}, "layer 3 does not exist; there are 3"),
        ({"layer": "decoder.*"}, "no layer matches 'decoder"),
        ({"head": 2}, r"head 2 does not exist; there are 2 \(0\.\.1\)"),
        ({"head": -3}, "head -3 does not exist"),
        ({"query": 25}, "query 25 does not exist; there are 25"),
        ({"query": "nose"}, "no token is called 'nose'"),
        ({"query": (90, 0)}, "outside the 90 x 60 px picture"),
    ],
)
def test_a_choice_that_does_not_exist_is_told_at_once(
    loaded: Loaded, result: PhotoAttention, options: dict[str, Any], error: str
) -> None:
    kind = GeometryError if "outside" in error else SelectionError
    with pytest.raises(kind, match=error):
        look_at(loaded("dinov2"), **options)
    with pytest.raises(kind, match=error):
        result.of(**options)


@pytest.mark.parametrize("name", ["heat", "weights", "overlay", "heatmap", "heads", "matrix"])
def test_a_layer_that_is_asked_for_by_index(result: PhotoAttention, name: str) -> None:
    method = getattr(result, name)
    assert method(-1) is not None
    with pytest.raises(SelectionError, match="layer 9 does not exist"):
        method(9)


# What is drawn


def test_the_summary_says_what_is_what(result: PhotoAttention) -> None:
    text = "\n".join(result.of(head=1, query=(40, 30)).summary().lines)
    for words in (result.model, "layer 1 of 0..2", "head 1 of 0..1", "at (40, 30)", "layer 2"):
        assert words in text
    assert "% of the attention falls on the photo" in text
    assert "% on CLS" in text


def test_registers_have_their_share_in_the_summary(loaded: Loaded) -> None:
    lines = "\n".join(look_at(loaded("dinov2_with_registers")).summary().lines)
    for name in ("CLS keeps", "on register 1", "on register 2"):
        assert name in lines


def test_each_picture_says_what_it_is(result: PhotoAttention) -> None:
    heads = "\n".join(result.heads().lines)
    assert "layer 1 of 0..2 · query CLS" in heads
    assert "head 0" in heads
    assert "head 1" in heads
    layers = result.layers_by_heads().lines
    assert {"layer 0", "layer 1", "layer 2", "query CLS"} <= set(layers)
    matrix = "\n".join(result.matrix().lines)
    assert "layer 1 of 0..2 · mean of 2 heads" in matrix
    assert "row 3, column 5" in matrix
    assert result.overlay().size_wh[0] >= 90
    assert result.heatmap().size_wh[0] >= 90


def test_a_query_on_the_photo_has_a_ring(result: PhotoAttention) -> None:
    assert not result.overlay().rings
    assert len(result.of(query=(40, 30)).overlay().rings) == 1
    assert len(result.of(query=7).overlay().rings) == 1


def test_heads_of_one_chosen_head_are_still_all(result: PhotoAttention) -> None:
    one = result.of(head=1)
    assert np.array_equal(np.asarray(one.heads().image), np.asarray(result.heads().image))


def test_the_colour_map_is_used_in_every_picture(result: PhotoAttention) -> None:
    jet = result.of(look=Look(cmap="jet"))
    for name in ("overlay", "heatmap", "heads", "layers_by_heads", "matrix", "summary"):
        plain, other = (np.asarray(getattr(r, name)().image) for r in (result, jet))
        assert not np.array_equal(plain, other), name


def test_shows_itself_in_a_notebook(result: PhotoAttention) -> None:
    assert result._repr_png_() == result.summary()._repr_png_()
    assert result._repr_png_().startswith(b"\x89PNG")
    assert repr(result) == (
        f"<attention of {result.model} in a photo of 90 x 60 px: "
        "layer 1 of 0..2, mean of 2 heads, query CLS>"
    )


def test_a_blank_photo_is_grey() -> None:
    assert blank(20).size == (20, 20)
    assert blank(20).getcolors() == [(400, (128, 128, 128))]


# What is written


def test_saves_what_is_documented(result: PhotoAttention, tmp_path: Path) -> None:
    written = result.save(tmp_path / "new" / "folder")
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == [
        "attn_map_layer_1_encoder.layer.1.attention.png",
        "heatmap_layer_1_encoder.layer.1.attention.png",
        "summary.png",
    ]
    assert sorted(written) == sorted((tmp_path / "new" / "folder").iterdir())
    with Image.open(tmp_path / "new" / "folder" / "summary.png") as picture:
        assert np.array_equal(np.asarray(picture), np.asarray(result.summary().image))


def test_saves_heads_and_raw_weights_of_each_chosen_layer(loaded: Loaded, tmp_path: Path) -> None:
    result = look_at(loaded("dinov2"), layer="encoder.layer.[02]")
    written = result.save(tmp_path, raw=True, heads=True)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        *(
            f"{kind}_layer_{i}_encoder.layer.{i}.attention.png"
            for kind in ("attn_map", "heatmap", "heads")
            for i in (0, 2)
        ),
        *(f"attn_raw_layer_{i}.npy" for i in (0, 2)),
        "layers_by_heads.png",
        "summary.png",
    }
    assert names == {path.name for path in written}
    for i in (0, 2):
        raw = np.load(tmp_path / f"attn_raw_layer_{i}.npy", allow_pickle=False)
        assert raw.dtype == np.float32
        assert raw.shape == (2, 25, 25)
        (call,) = result.recording.find(f"encoder.layer.{i}")
        assert np.array_equal(raw, call.weights()[0].numpy())


def test_what_cannot_be_drawn_leaves_nothing(result: PhotoAttention, tmp_path: Path) -> None:
    with pytest.raises(SelectionError, match="no colour map 'nope'"):
        result.of(look=Look(cmap="nope")).save(tmp_path / "new")
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_folders_place(result: PhotoAttention, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(MediaError, match="file' is a file, expected a folder"):
        result.save(tmp_path / "file")
    with pytest.raises(MediaError, match=r"cannot make the folder .*Not a directory"):
        result.save(tmp_path / "file" / "below")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only(result: PhotoAttention, tmp_path: Path) -> None:
    (tmp_path / "shut").mkdir(mode=0o500)
    with pytest.raises(MediaError, match=r"cannot write .*Permission denied"):
        result.save(tmp_path / "shut")
    with pytest.raises(MediaError, match=r"cannot make the folder .*Permission denied"):
        result.save(tmp_path / "shut" / "new")


@pytest.mark.parametrize("files_before_it_is_full", [0, 2, 3])
def test_a_full_disk_leaves_no_half_file(
    result: PhotoAttention,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files_before_it_is_full: int,
) -> None:
    real, calls = os.fsync, []

    def fsync(handle: int) -> None:
        if stat.S_ISREG(os.fstat(handle).st_mode):  # a picture, and not its folder
            calls.append(handle)
            if len(calls) > files_before_it_is_full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(MediaError, match=r"cannot write '.*': No space left on device"):
        result.save(tmp_path, raw=True)
    assert len(list(tmp_path.iterdir())) == files_before_it_is_full
    assert not list(tmp_path.glob("*.tmp"))
    for path in tmp_path.glob("*.png"):
        Image.open(path).load()
