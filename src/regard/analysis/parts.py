"""Numbers about the attention of parts: where it is, how spread it is, how it changes.

All take weights whose last axis runs over keys.
"""

import math

import torch
from torch import Tensor


def entropy(weights: Tensor) -> Tensor:
    """Entropy of each row in nats, (...); log of the number of keys if spread evenly."""
    shares = weights / weights.sum(-1, keepdim=True)
    return -torch.xlogy(shares, shares).sum(-1)


def relative_entropy(weights: Tensor) -> Tensor:
    """Entropy as a share of the largest possible: 0 all on one key, 1 spread evenly, (...)."""
    return entropy(weights) / math.log(weights.shape[-1])


def sparsity(weights: Tensor, below: float = 0.1) -> Tensor:
    """Share of keys with less than `below` times the even share, (...).

    A fixed threshold would say "sparse" of everything that has many keys.
    """
    even = weights.sum(-1, keepdim=True) / weights.shape[-1]
    return (weights < below * even).float().mean(-1)


def concentration(weights: Tensor) -> Tensor:
    """Largest weight over the even share, (...): 1 if uniform, the number of keys if collapsed."""
    return weights.amax(-1) / weights.mean(-1)


def overlap(a: Tensor, b: Tensor) -> Tensor:
    """Mass that two distributions have in common, (...): 1 if equal, 0 if apart."""
    a, b = a / a.sum(-1, keepdim=True), b / b.sum(-1, keepdim=True)
    return torch.minimum(a, b).sum(-1)


def stability(weights: Tensor) -> Tensor:
    """Overlap of each step with the one before, (steps - 1, ...), of weights (steps, ..., keys)."""
    return overlap(weights[1:], weights[:-1])


def shares_of_parts(weights: Tensor) -> Tensor:
    """How a key's attention divides among parts, (parts, keys): columns sum to 1.

    Args:
        weights: (parts, keys), what each part gives to each key.
    """
    return weights / weights.sum(0, keepdim=True).clamp_min(torch.finfo(weights.dtype).tiny)
