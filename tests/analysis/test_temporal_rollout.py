"""Rollout over time, against the definition and by hand."""

import pytest
import torch

from regard.analysis.temporal_rollout import Fusion, column_mean, stretched, temporal_rollout
from regard.errors import GeometryError, SelectionError


def attention(layers: int, frames: int) -> torch.Tensor:
    return torch.randn(layers, frames, frames, dtype=torch.float64).softmax(-1)


def test_it_is_the_product_of_the_layers_last_one_first() -> None:
    layers = attention(6, 5)
    expected = torch.eye(5, dtype=torch.float64)
    for matrix in layers:
        step = matrix + torch.eye(5)
        expected = (step / step.sum(1, keepdim=True)) @ expected
    found = temporal_rollout(list(layers))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-15)  # two halves against a sum
    assert not torch.allclose(found, temporal_rollout(list(layers.flip(0))))


def test_two_frames_by_hand() -> None:
    first = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    second = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    # (A + I) / 2: [[1, 0], [1/4, 3/4]], then [[1/2, 1/2], [0, 1]]
    expected = torch.tensor([[0.625, 0.375], [0.25, 0.75]], dtype=torch.float64)
    assert temporal_rollout([first, second]).equal(expected)
    assert column_mean(expected).tolist() == [0.4375, 0.5625]


def test_rows_sum_to_one_whatever_the_fusion() -> None:
    heads = [attention(4, 7) for _ in range(3)]
    fusions: tuple[Fusion, ...] = ("mean", "max", "min")
    for fusion in fusions:
        rows = temporal_rollout(heads, fusion=fusion).sum(1)
        torch.testing.assert_close(rows, torch.ones(7, dtype=torch.float64))
    mean = temporal_rollout([layer.mean(0) for layer in heads])
    torch.testing.assert_close(temporal_rollout(heads), mean)
    assert not torch.allclose(temporal_rollout(heads, fusion="max"), mean)


def test_without_a_residual_it_is_the_plain_product() -> None:
    one, two = attention(2, 3)
    torch.testing.assert_close(temporal_rollout([one, two], residual=0), two @ one)


def test_stretched_is_one_everywhere_for_equal_values() -> None:
    assert stretched(torch.tensor([2.0, 4.0, 3.0])).tolist() == [0, 1, 0.5]
    assert stretched(torch.full((3,), 0.2)).tolist() == [1, 1, 1]


def test_what_is_no_attention_over_time_is_refused() -> None:
    with pytest.raises(SelectionError, match="at least one layer"):
        temporal_rollout([])
    with pytest.raises(GeometryError, match=r"layer 1 has shape \(2, 3\), expected \(3, 3\)"):
        temporal_rollout([torch.eye(3), torch.ones(2, 3)])
    with pytest.raises(SelectionError, match="residual is 1"):
        temporal_rollout([torch.eye(3)], residual=1)
    with pytest.raises(SelectionError, match="fusion is 'sum'"):
        temporal_rollout([torch.eye(3)], fusion="sum")  # type: ignore[arg-type]
