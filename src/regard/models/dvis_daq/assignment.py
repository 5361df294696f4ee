"""Assignment of least cost, one to one."""

import torch
from torch import Tensor

from regard.errors import MissingDependency


def assign(cost: Tensor) -> tuple[Tensor, Tensor]:
    """Rows, ascending, and the column of each; together they cost least.

    Args:
        cost: (rows, columns). Where there are fewer columns than rows, some rows go without.

    Raises:
        MissingDependency: SciPy is not installed.
    """
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise MissingDependency("DVIS-DAQ needs SciPy; pip install 'regard[video]'") from error
    rows, columns = linear_sum_assignment(cost.float().cpu().numpy())
    return (
        torch.as_tensor(rows, device=cost.device),
        torch.as_tensor(columns, device=cost.device),
    )
