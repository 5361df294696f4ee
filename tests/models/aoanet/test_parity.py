"""Every number against the official code: frozen tensors in the shared folder."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import regard
from aoanet import folder, tensors
from regard.models.aoanet.decoding import END, Decoding, decode
from regard.models.aoanet.loading import load_captioner
from regard.models.aoanet.network import AoANet, Scene
from regard.models.aoanet.options import Options

ATTENTION = 1e-5  # the official code in float32 against ours: another order of additions
SUM = 1e-4  # a score is the sum of a dozen logarithms
HIDDEN = 5e-5  # six layers of float32 before it

CASES = [("model", "regions"), ("model", "masked"), ("model", "grid")] + [
    (f"variant_{name}", "") for name in ("additive_lstm", "no_refiner", "scale2_ff_base")
]


class Case:
    """A model with frozen inputs and outputs."""

    def __init__(self, place: Path, model: str, name: str) -> None:
        self.story: dict[str, Any] = json.loads((place / f"{model}.json").read_text())
        self.network = AoANet(Options.from_opt(self.story["opt"])).eval()
        self.network.load_state_dict(tensors(place / f"{model}.safetensors"))
        prefix = f"{name}/" if name else ""
        io = tensors(place / f"{model}_io.safetensors")
        self.io = {k.removeprefix(prefix): v for k, v in io.items() if k.startswith(prefix)}
        self.name = name
        masks = self.io.get("att_masks")
        self.seen = None if masks is None else masks.bool()

    def scene(self) -> Scene:
        return self.network.look(self.io["att_feats"], self.seen, self.io["fc_feats"])

    def tokens(self, kind: str) -> list[tuple[int, ...]]:
        rows = self.io[f"{kind}.seq"].tolist()
        return [tuple(row[: row.index(END)] if END in row else row) for row in rows]

    def attention(self, tokens: list[tuple[int, ...]]) -> list[Tensor]:
        """Weights of each word and of what comes after the last, (words + 1, heads, regions)."""
        longest = max(map(len, tokens))
        rows = torch.tensor([[0, *row, *[END] * (longest - len(row))] for row in tokens])
        with torch.inference_mode(), regard.record(self.network, "core.attention") as recording:
            self.network(self.io["att_feats"], rows, self.seen, self.io["fc_feats"])
        weights = torch.stack([call.weights()[:, :, 0] for call in recording], 1)
        return [one[: len(row) + 1] for one, row in zip(weights, tokens, strict=True)]


@pytest.fixture(params=CASES, ids=lambda case: "-".join(case).strip("-"))
def case(request: pytest.FixtureRequest, shared: Path) -> Case:
    return Case(folder(shared), *request.param)


@torch.inference_mode()
def test_greedy_captions_and_their_attention(case: Case) -> None:
    found = [captions[0] for captions in decode(case.network, case.scene(), Decoding(beam=1))]
    expected = case.tokens("greedy")
    assert [caption.tokens for caption in found] == expected
    for caption, chances in zip(found, case.io["greedy.logprobs"].tolist(), strict=True):
        count = len(caption.log_probabilities)
        assert caption.log_probabilities == pytest.approx(chances[:count], abs=SUM)
        assert caption.ended == (len(caption.tokens) < case.network.options.max_length)
    for ours, theirs in zip(case.attention(expected), case.io["greedy.attn"], strict=True):
        torch.testing.assert_close(ours, theirs[: len(ours)], atol=ATTENTION, rtol=0)


@torch.inference_mode()
def test_beams(case: Case) -> None:
    for beam in (2, 3):
        if f"beam{beam}.seq" not in case.io:
            continue
        found = decode(case.network, case.scene(), Decoding(beam=beam))
        assert [captions[0].tokens for captions in found] == case.tokens(f"beam{beam}")
        chances = case.io[f"beam{beam}.logprobs"].tolist()
        for (best, *_), row in zip(found, chances, strict=True):
            count = len(best.log_probabilities)
            assert best.log_probabilities == pytest.approx(row[:count], abs=SUM)
        if case.name:  # the variants' stories hold captions only
            stories = [s for s in case.story["meta"][case.name][f"beam{beam}"] if "score" in s]
            for captions, story in zip(found, stories, strict=True):
                scores = [beam["p"] for beam in story["other_beams"]]
                assert [one.score for one in captions] == pytest.approx(scores, abs=SUM)


@torch.inference_mode()
@pytest.mark.parametrize(
    ("name", "beam"), [("regions", 2), ("regions", 3), ("masked", 2), ("grid", 3)]
)
def test_words_of_a_beam_show_their_own_hypothesis(shared: Path, name: str, beam: int) -> None:
    """The first beam's rows are what a careless tool reads; they must not pass."""
    case = Case(folder(shared), "model", name)
    tokens = case.tokens(f"beam{beam}")
    for row, ours in enumerate(case.attention(tokens)):
        count = min(len(ours), case.network.options.max_length)
        right = case.io[f"beam{beam}.attn"][row, :count]
        wrong = case.io[f"beam{beam}.attn_slot0"][row, :count]
        torch.testing.assert_close(ours[:count], right, atol=ATTENTION, rtol=0)
        if not torch.equal(right, wrong):
            assert (ours[:count] - wrong).abs().max() > 0.1


@torch.inference_mode()
def test_every_layer_of_the_refiner(case: Case) -> None:
    if not case.network.options.refine:
        pytest.skip("this model has no refiner")
    with regard.record(case.network, "refiner") as recording:
        scene = case.scene()
    for number, call in enumerate(recording):
        frozen = case.io.get(f"refiner.layers.{number}.self_attn.attn")
        if frozen is not None:
            weights = call.weights()
            if case.seen is not None:  # rows of padding mean nothing
                weights, frozen = (w.transpose(1, 2)[case.seen] for w in (weights, frozen))
            torch.testing.assert_close(weights, frozen, atol=ATTENTION, rtol=0)
    assert len(recording) == 6
    assert all(item.error is not None and item.error < 1e-5 for item in recording.verify())
    torch.testing.assert_close(scene.mean, case.io["mean_feats"], atol=HIDDEN, rtol=0)


@torch.inference_mode()
def test_the_official_files_load(shared: Path) -> None:
    place = folder(shared)
    one = load_captioner(place / "model_legacy.pth", place / "infos_aoanet.pkl")
    story = json.loads((place / "model.json").read_text())
    io = tensors(place / "model_io.safetensors")
    scene = one.network.look(io["regions/att_feats"], None)
    ((best, *_),) = decode(one.network, scene, Decoding(beam=3))
    assert one.infos.text(best.tokens) == story["meta"]["regions"]["beam3"][0]["caption"]


def test_the_released_size_has_the_official_tensors() -> None:
    """87.4 million parameters in 79 tensors, as the released checkpoint."""
    with torch.device("meta"):
        network = AoANet(Options(vocab_size=10369, rnn_size=1024, use_ff=0))
    state = network.state_dict()
    assert len(state) == 79
    assert round(sum(tensor.numel() for tensor in state.values()) / 1e6, 1) == 87.4
    assert state["core.att2ctx.0.weight"].shape == (2048, 2048)


@pytest.mark.gpu
@torch.inference_mode()
def test_the_same_captions_on_a_gpu(case: Case) -> None:
    case.network.cuda()
    inputs = (case.io["att_feats"].cuda(), None if case.seen is None else case.seen.cuda())
    scene = case.network.look(*inputs, case.io["fc_feats"].cuda())
    for name, beam in (("greedy", 1), ("beam2", 2), ("beam3", 3)):
        if f"{name}.seq" in case.io:
            found = decode(case.network, scene, Decoding(beam=beam))
            assert [captions[0].tokens for captions in found] == case.tokens(name)
