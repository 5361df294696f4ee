"""Catching the gradient of an attention output on its way through a backward pass."""

from collections.abc import Callable
from weakref import ref

from torch import Tensor

from regard.backward import Backward
from regard.intercept.keeper import Keeper

NO_GRAPH = (
    "its output needed no gradient: torch.no_grad or inference mode was on, nothing before it "
    "needs one, or a reentrant checkpoint ran it (use_reentrant=False works)"
)
DROPOUT = "dropout was active, and which weights it dropped is not known: call model.eval()"
NOT_FOLLOWED = "gradients of this kind of attention are not recorded, only those of W·V"


def watch(
    keeper: Keeper, values: Tensor, out: Tensor, arrange: Callable[[Tensor], Tensor]
) -> Backward:
    """V, and from now on what a backward pass brings to the output.

    The hook lives in the graph and holds no recording; the recording holds no graph.

    Args:
        keeper: Keeps the values.
        values: (batch, heads or key-value heads, keys, d).
        out: The output, as the model's own call gave it.
        arrange: Brings a tensor of its shape to (batch, heads, queries, d).
    """
    if not out.requires_grad:
        return Backward(None, missing=NO_GRAPH)
    backward = Backward(keeper.keep(values))
    waiting = ref(backward)

    def arrived(gradient: Tensor) -> None:
        found = waiting()
        if found is not None:
            found.arrive(arrange(gradient.detach()))

    out.register_hook(arrived)  # type: ignore[no-untyped-call]
    return backward
