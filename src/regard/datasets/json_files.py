"""JSON files: of unknown origin, read so that a hostile one ends in one error; written whole."""

import json
from pathlib import Path
from typing import Any, NoReturn

from regard.atomic import write_atomically
from regard.errors import FormatError, MediaError

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


def write_json(path: Path, content: Any) -> Path:
    """Write a JSON file; it appears whole or not at all, and equal content gives equal bytes.

    Raises:
        MediaError: The folder is missing or not writable, or the disk is full.
    """
    data = json.dumps(content, indent=1, allow_nan=False) + "\n"
    try:
        write_atomically(path, data.encode())
    except OSError as error:
        raise MediaError(f"cannot write {str(path)!r}: {error.strerror}") from error
    return path


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON")
