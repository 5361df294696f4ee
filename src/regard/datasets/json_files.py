"""JSON of unknown origin, read so that a hostile file ends in one error."""

import json
from pathlib import Path
from typing import Any, NoReturn

from regard.errors import FormatError

LIMIT_BYTES = 2 * 2**30


def read_json(path: Path, limit_bytes: int = LIMIT_BYTES) -> Any:
    """What a JSON file holds.

    Raises:
        FormatError: It is missing, too large, nested too deeply, no JSON, or holds NaN or
            Infinity, which JSON does not have.
    """
    try:
        if path.stat().st_size > limit_bytes:
            raise ValueError(f"{path.stat().st_size:,} bytes, over {limit_bytes:,}")
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except RecursionError as error:
        raise FormatError(f"{path} cannot be read as JSON: it is nested too deeply") from error
    except (OSError, ValueError) as error:
        raise FormatError(f"{path} cannot be read as JSON: {error}") from error


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON")
