"""Recording files: lossless, whole or not at all, and refused when damaged."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor

from recorded import random, record_call
from regard import DotProductAttention, GridTokens, Recording, Tokens
from regard.errors import CaptureError, FormatError
from regard.recording import Unrecorded
from regard.storage import FORMAT, StoredCalls


def model(q: Tensor, k: Tensor, mask: Tensor) -> Tensor:
    y = F.scaled_dot_product_attention(q, k, k, attn_mask=mask)
    x = (y @ k.mT * 0.5).masked_fill(~mask, -torch.inf).clamp(min=-1e4)
    return F.scaled_dot_product_attention(x.softmax(-1) @ k, k, k, is_causal=True)


@pytest.fixture
def recording() -> Recording:
    q, k = random(1, 2, 5, 8), random(1, 2, 7, 8, seed=1)
    made = record_call(model, q, k, torch.ones(5, 7, dtype=torch.bool).tril(2))
    made.unrecorded.append(Unrecorded("somewhere", "for a reason: ± ·"))
    made[0].axes["frame"] = 3
    made[0].notes = ("a note",)
    made[0].keys = Tokens(7, prefix=("cls",))
    return made


def story_of(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="pt") as file:
        story: dict[str, Any] = json.loads(file.metadata()[FORMAT])
    return story


def rewrite(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """The same tensors with another story."""
    tensors = safetensors.torch.load_file(path)
    story = story_of(path)
    change(story)
    safetensors.torch.save_file(tensors, path, metadata={FORMAT: json.dumps(story)})


def test_everything_comes_back(recording: Recording, tmp_path: Path) -> None:
    again = Recording.load(recording.save(tmp_path / "a.safetensors"))
    assert repr(again) == repr(recording)
    assert again.unrecorded == recording.unrecorded
    assert again.nbytes == recording.nbytes
    for a, b in zip(recording, again, strict=True):
        assert (a.axes, a.notes, a.queries, a.keys) == (b.axes, b.notes, b.queries, b.keys)
        assert isinstance(a, DotProductAttention)
        assert isinstance(b, DotProductAttention)
        assert [s.op for s in a.scores.steps] == [s.op for s in b.scores.steps]
        assert a.scores.autocast == b.scores.autocast
        for x, y in zip(a.kept, b.kept, strict=True):
            assert torch.equal(x.get(), y.get())
        for masked in (True, False):
            torch.testing.assert_close(
                a.weights(masked=masked), b.weights(masked=masked), rtol=0, atol=1e-6
            )


def test_saving_twice_gives_the_same_bytes(recording: Recording, tmp_path: Path) -> None:
    one, two = recording.save(tmp_path / "1"), Recording.load(tmp_path / "1").save(tmp_path / "2")
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_dtypes(dtype: torch.dtype, tmp_path: Path) -> None:
    q = random(1, 2, 5, 8, dtype=dtype)
    made = record_call(F.scaled_dot_product_attention, q, q, q)
    again = Recording.load(made.save(tmp_path / "r"))
    assert again[0].kept[0].dtype == dtype
    assert torch.equal(again[0].kept[0].get(), q)


def test_kept_weights_still_know_what_they_do_not_know(tmp_path: Path) -> None:
    q, mask = random(1, 2, 5, 8), torch.ones(5, 5, dtype=torch.bool).tril(-1)
    made = record_call(F.scaled_dot_product_attention, q, q, q, attn_mask=mask, keep="weights")
    (call,) = Recording.load(made.save(tmp_path / "r"))
    assert call.fully_masked()[0, 0].tolist() == [True, False, False, False, False]
    with pytest.raises(CaptureError, match="keep='qk'"):
        call.weights(masked=False)


def test_token_layouts(recording: Recording, tmp_path: Path) -> None:
    recording[0].queries = Tokens(5, prefix=("cls",), suffix=("det",))
    again = Recording.load(recording.save(tmp_path / "r"))
    assert again[0].queries == recording[0].queries
    assert not isinstance(again[0].queries, GridTokens)


def test_equal_layouts_are_stored_once(recording: Recording, tmp_path: Path) -> None:
    for call in recording:
        call.queries, call.keys = (Tokens(5, prefix=("cls",)) for _ in range(2))
    stored = StoredCalls(recording.save(tmp_path / "r"))
    assert stored.story["layouts"] == [Tokens(5, prefix=("cls",)).to_json()]


def unknown_op(story: dict[str, Any]) -> None:
    story["calls"][0]["scores"]["steps"][0][0] = "__import__"


def unknown_version(story: dict[str, Any]) -> None:
    story["version"] = 99


def unknown_kind(story: dict[str, Any]) -> None:
    story["calls"][0]["kind"] = "lambda"


def missing_tensor(story: dict[str, Any]) -> None:
    story["calls"][0]["scores"]["q"]["tensor"] = "t99"


def wrong_shape(story: dict[str, Any]) -> None:
    story["calls"][0]["scores"]["q"]["shape"] = [1, 2, 6, 8]


def unknown_dtype(story: dict[str, Any]) -> None:
    story["calls"][0]["scores"]["autocast"][1] = "load"


def short_step(story: dict[str, Any]) -> None:
    story["calls"][0]["scores"]["steps"][0] = ["mul"]


def options_are_a_list(story: dict[str, Any]) -> None:
    story["calls"][0]["scores"]["steps"][0][3] = []


def no_calls(story: dict[str, Any]) -> None:
    del story["calls"]


def calls_are_text(story: dict[str, Any]) -> None:
    story["calls"] = "abc"


def tokens_do_not_fit(story: dict[str, Any]) -> None:
    story["layouts"][story["calls"][0]["keys"]]["count"] = 0


def strange_tokens(story: dict[str, Any]) -> None:
    story["layouts"][story["calls"][0]["keys"]]["kind"] = "os.system"


def missing_layout(story: dict[str, Any]) -> None:
    story["calls"][0]["keys"] = -1


DAMAGES = [
    *(unknown_op, unknown_version, unknown_kind, missing_tensor, wrong_shape, unknown_dtype),
    *(short_step, options_are_a_list, no_calls, calls_are_text, tokens_do_not_fit),
    *(strange_tokens, missing_layout),
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_wrong_story_is_refused(
    damage: Callable[[dict[str, Any]], None], recording: Recording, tmp_path: Path
) -> None:
    path = recording.save(tmp_path / "r.safetensors")
    rewrite(path, damage)
    with pytest.raises(FormatError) as caught:
        Recording.load(path)
    assert "r.safetensors" in str(caught.value)


def test_every_truncation_is_refused(recording: Recording, tmp_path: Path) -> None:
    path = recording.save(tmp_path / "r")
    whole = path.read_bytes()
    for length in (0, 1, 7, 8, 9, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(FormatError):
            Recording.load(path)


def test_flipped_header_bytes_are_refused_or_harmless(recording: Recording, tmp_path: Path) -> None:
    """A flip inside a name or a note is not noticed; no flip may end in another error."""
    path = recording.save(tmp_path / "r")
    whole = path.read_bytes()
    size = 8 + int.from_bytes(whole[:8], "little")
    refused = 0
    for place in range(0, size, max(1, size // 150)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        try:
            Recording.load(path)
        except FormatError:
            refused += 1
    assert refused > 75


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file({"weight": torch.ones(2)}, path)
    with pytest.raises(FormatError, match="no recording of regard's"):
        Recording.load(path)
    path.write_text("not a file of tensors at all")
    with pytest.raises(FormatError, match="no readable recording"):
        Recording.load(path)


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Recording.load(tmp_path / "nothing")


def test_a_failed_save_leaves_the_old_file(
    recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = recording.save(tmp_path / "r")
    before = path.read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        recording[:1].save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_at_the_target_is_replaced_not_followed(
    recording: Recording, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.write_text("precious")
    (tmp_path / "r").symlink_to(other)
    recording.save(tmp_path / "r")
    assert other.read_text() == "precious"
    assert len(Recording.load(tmp_path / "r")) == len(recording)
