"""PyAV, which reads and writes moving pictures; optional."""

from typing import Any

from regard.errors import MissingDependency


def require_av() -> Any:
    """The module ``av``.

    Raises:
        MissingDependency: It is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise MissingDependency("moving pictures need PyAV; pip install 'regard[video]'") from error
    return av
