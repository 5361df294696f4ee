"""An independent count of attention: the softmaxes that torch's dispatcher runs.

It shares nothing with the recorder, which watches Python calls one floor above.
"""

from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

SOFTMAXES = ("_softmax", "_safe_softmax")
FUSED = ("_scaled_dot_product", "_native_multi_head_attention", "_transformer_encoder_layer_fwd")


class Census(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts softmaxes while it is active, those inside fused kernels included.

    A softmax over one number, or of nothing, weighs nothing and does not count.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.softmaxes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func._schema.name.partition("::")[2]
        if name.startswith(FUSED) or (name in SOFTMAXES and args[0].numel()):
            self.softmaxes += 1
        return func(*args, **(kwargs or {}))
