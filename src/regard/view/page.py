"""One-file pages: a template with its style, its scripts and its data inside."""

import base64
import io
import json
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

_VIEW = files("regard.view")
_POLICY = (
    "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
)


def one_file(
    folder: str, *, title: str, data: dict[str, Any], vendored: tuple[str, ...] = ()
) -> str:
    """HTML of a page.

    The page may load nothing from anywhere: a content policy says so to the browser.

    Args:
        folder: Where its `page.html`, `page.css` and `page.js` are, below this package.
        title: Of the page.
        data: What its script reads as `DATA`.
        vendored: Scripts of others that run before its own.
    """
    parts = _VIEW / folder
    scripts = [(_VIEW / "vendor" / name).read_text("utf-8") for name in vendored]
    scripts.append(f"const DATA = {_json(data)};\n" + (parts / "page.js").read_text("utf-8"))
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{_text(title)}</title>",
            f"<style>{(parts / 'page.css').read_text('utf-8')}</style>",
            (parts / "page.html").read_text("utf-8"),
            *(f"<script>{_script(script)}</script>" for script in scripts),
            "</html>",
        ]
    )


def packed(values: npt.NDArray[Any]) -> str:
    """The numbers of an array, in base64, little endian."""
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    return base64.b64encode(np.ascontiguousarray(little).tobytes()).decode()


def image_address(image: Image.Image, longest_px: int = 1024) -> str:
    """A picture as an address that an <img> takes: JPEG, at most so long."""
    scale = min(1.0, longest_px / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    file = io.BytesIO()
    image.convert("RGB").resize(size).save(file, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def _json(data: dict[str, Any]) -> str:
    """JSON that cannot end the script it stands in."""
    return json.dumps(data, allow_nan=False, ensure_ascii=True).replace("<", "\\u003c")


def _script(text: str) -> str:
    return text.replace("</script", "<\\/script")


def _text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
