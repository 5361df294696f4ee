"""Relevance, against the published recurrence over weights that are part of the graph."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import regard
from recorded import random
from regard.errors import CaptureError, GeometryError, SelectionError

TOKENS, WIDTH, HEADS = 7, 16, 2


class Layer(nn.Module):
    """Self-attention with a residual connection, fused or written out."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Linear(WIDTH, WIDTH)
        self.weights: Tensor | None = None

    def forward(self, x: Tensor, written_out: bool) -> Tensor:
        heads = (
            t.view(len(x), TOKENS, HEADS, -1).transpose(1, 2) for t in self.qkv(x).chunk(3, -1)
        )
        q, k, v = heads
        if written_out:
            self.weights = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)
            self.weights.retain_grad()
            mixed = self.weights @ v
        else:
            mixed = F.scaled_dot_product_attention(q, k, v)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        done: Tensor = x + self.mlp(x).relu()
        return done


class Classifier(nn.Module):
    """Three layers and a class score for each image, read from token 0."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer() for _ in range(3))
        self.head = nn.Linear(WIDTH, 4)

    def forward(self, x: Tensor, written_out: bool = False) -> Tensor:
        for layer in self.layers:
            x = layer(x, written_out)
        scores: Tensor = self.head(x[:, 0])
        return scores


def published(model: Classifier, x: Tensor, wanted: int) -> Tensor:
    """R <- R + mean over heads of max(0, gradient * weights) · R, from R = I, first layer first."""
    torch.autograd.backward(model(x, written_out=True)[:, wanted].sum())
    relevance = torch.eye(TOKENS).expand(len(x), -1, -1)
    for layer in model.layers:
        assert isinstance(layer, Layer)
        assert layer.weights is not None
        assert layer.weights.grad is not None
        added = (layer.weights.grad * layer.weights).clamp(min=0).mean(1)
        relevance = relevance + added @ relevance
    return relevance.detach()


@pytest.fixture
def model() -> Classifier:
    model = Classifier()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.25)  # attention that differs from token to token
    return model


def recorded(model: Classifier, x: Tensor, wanted: int) -> regard.Recording:
    with regard.record(model, gradients=True) as recording:
        torch.autograd.backward(model(x)[:, wanted].sum())
    return recording


@pytest.mark.parametrize("wanted", [0, 3])
@pytest.mark.parametrize("queries", [0, [2, 0], None])
def test_it_is_the_published_one(
    model: Classifier, wanted: int, queries: int | list[int] | None
) -> None:
    x = random(2, TOKENS, WIDTH)
    found = regard.relevance(recorded(model, x, wanted), queries)
    expected = published(model, x, wanted)
    if queries is not None:
        expected = expected[:, [queries] if isinstance(queries, int) else queries]
    # float32 sums in another order, over three layers
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)


def test_it_is_about_the_result_that_was_differentiated(model: Classifier) -> None:
    x = random(1, TOKENS, WIDTH)
    one, other = (regard.relevance(recorded(model, x, wanted)) for wanted in (0, 1))
    assert (one - other).abs().max() > 1e-3
    assert (one >= 0).all()


def test_heads_can_be_chosen(model: Classifier) -> None:
    calls = recorded(model, random(1, TOKENS, WIDTH), 0)
    each = [regard.relevance(calls[-1:], heads=head) for head in range(HEADS)]
    # one layer is linear in the mean over heads; halves of sums round
    torch.testing.assert_close(sum(each) / HEADS, regard.relevance(calls[-1:]))


def test_what_it_cannot_do_is_said(model: Classifier) -> None:
    x = random(1, TOKENS, WIDTH)
    with pytest.raises(SelectionError, match="at least one"):
        regard.relevance([])
    with regard.record(model) as plain:
        model(x)
    with pytest.raises(CaptureError, match="gradients=True"):
        regard.relevance(plain)
    cross = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
    with regard.record(cross, gradients=True) as across:
        cross(x, x[:, :3], x[:, :3])
    with pytest.raises(GeometryError, match="relevance goes through self-attention"):
        regard.relevance(across)
