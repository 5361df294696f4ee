"""Where the pixels of the original picture lie in the picture that the model saw.

One convention everywhere: pixel ``i`` covers the interval ``[i, i + 1)``, so its centre is
``i + 0.5`` (the half-pixel convention, ``align_corners=False``).
"""

import dataclasses
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from regard.errors import FormatError, GeometryError

if TYPE_CHECKING:
    from torch import Tensor

Box = tuple[float, float, float, float]
"""``(x0, y0, x1, y1)``: left, top, right, bottom edge in pixels."""

Coordinate = TypeVar("Coordinate", float, "Tensor")

# Far above the rounding of a few composed float64 maps, far below anything a person can see.
TOLERANCE_PX = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewTransform:
    """Map between the original picture and the picture that the model saw.

    ``input = original * scale + offset`` on each axis, in continuous pixel coordinates. Begin
    with `identity` and repeat, in any order, what the preparation did: every step returns a new
    transform.

    >>> view = ViewTransform.identity((480, 640)).resize((256, 341)).center_crop((224, 224))
    >>> view.to_input(320, 240)
    (112.5, 112.0)
    """

    original_hw: tuple[int, int]
    """Height and width of the original picture."""
    input_hw: tuple[int, int]
    """Height and width of the model's input, padding included."""
    scale_yx: tuple[float, float]
    """Input pixels per original pixel, down and across."""
    offset_yx: tuple[float, float]
    """Where the original's top left corner lies, in input pixels."""
    content_box_xyxy: Box
    """The part of the input that is photo; the rest is padding. Input pixels."""

    def __post_init__(self) -> None:
        checked = {
            "original_hw": checked_size_hw(self.original_hw, what="original_hw"),
            "input_hw": checked_size_hw(self.input_hw, what="input_hw"),
            "scale_yx": checked_numbers(self.scale_yx, 2, what="scale_yx"),
            "offset_yx": checked_numbers(self.offset_yx, 2, what="offset_yx"),
            "content_box_xyxy": checked_numbers(self.content_box_xyxy, 4, what="content_box_xyxy"),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        self._check_scale()
        self._check_content()

    def _check_scale(self) -> None:
        if min(self.scale_yx) <= 0:
            raise GeometryError(
                f"scale_yx is {self.scale_yx}, expected two numbers above 0: "
                "flip the picture before it is prepared, not in its view"
            )

    def _check_content(self) -> None:
        """The content box must hold photo: inside the input, and inside the mapped original."""
        x0, y0, x1, y1 = self.content_box_xyxy
        height, width = self.input_hw
        left, top = self.to_input(0.0, 0.0)
        right, bottom = self.to_input(float(self.original_hw[1]), float(self.original_hw[0]))
        lowest_x, lowest_y = max(left - 1e-6, 0), max(top - 1e-6, 0)
        highest_x, highest_y = min(right + 1e-6, width), min(bottom + 1e-6, height)
        if not (lowest_x <= x0 < x1 <= highest_x and lowest_y <= y0 < y1 <= highest_y):
            raise GeometryError(
                f"the content box {box_text(self.content_box_xyxy)} holds no photo, or more than "
                f"there is: the {size_text(self.original_hw)} picture lies at "
                f"{box_text((left, top, right, bottom))} of the {size_text(self.input_hw)} input; "
                "build views with ViewTransform.identity(...) and its steps"
            )

    @classmethod
    def identity(cls, size_hw: tuple[int, int]) -> Self:
        """View of a model that sees the original picture of this size, pixel for pixel."""
        height, width = checked_size_hw(size_hw, what="size_hw")
        return cls(
            original_hw=(height, width),
            input_hw=(height, width),
            scale_yx=(1.0, 1.0),
            offset_yx=(0.0, 0.0),
            content_box_xyxy=(0.0, 0.0, float(width), float(height)),
        )

    def resize(self, size_hw: tuple[int, int]) -> Self:
        """View after the whole input, padding included, is scaled to ``size_hw``."""
        height, width = checked_size_hw(size_hw, what="size_hw")
        y, x = height / self.input_hw[0], width / self.input_hw[1]
        x0, y0, x1, y1 = self.content_box_xyxy
        return dataclasses.replace(
            self,
            input_hw=(height, width),
            scale_yx=(self.scale_yx[0] * y, self.scale_yx[1] * x),
            offset_yx=(self.offset_yx[0] * y, self.offset_yx[1] * x),
            content_box_xyxy=(x0 * x, y0 * y, min(x1 * x, width), min(y1 * y, height)),
        )

    def crop(self, box_xyxy: tuple[int, int, int, int]) -> Self:
        """View after the input is cut to a box of whole pixels.

        Where the box reaches outside the input, it adds padding.

        Raises:
            GeometryError: The box is not of whole pixels, is empty, or holds no photo.
        """
        left, top, right, bottom = _checked_integers(box_xyxy, 4, what="box_xyxy")
        if left >= right or top >= bottom:
            raise GeometryError(
                f"the crop box {box_text(box_xyxy)} is empty: give (left, top, right, bottom)"
            )
        x0, y0, x1, y1 = self.content_box_xyxy
        x0, y0 = max(x0, left), max(y0, top)
        x1, y1 = min(x1, right), min(y1, bottom)
        if x0 >= x1 or y0 >= y1:
            raise GeometryError(
                f"the crop box {box_text(box_xyxy)} holds no photo: the photo lies at "
                f"{box_text(self.content_box_xyxy)} of the {size_text(self.input_hw)} input"
            )
        return dataclasses.replace(
            self,
            input_hw=(bottom - top, right - left),
            offset_yx=(self.offset_yx[0] - top, self.offset_yx[1] - left),
            content_box_xyxy=(x0 - left, y0 - top, x1 - left, y1 - top),
        )

    def center_crop(
        self,
        size_hw: tuple[int, int],
        *,
        convention: Literal[
            "transformers", "transformers-torchvision", "torchvision"
        ] = "transformers",
    ) -> Self:
        """View after a crop about the centre; a smaller input is padded to ``size_hw``.

        The conventions differ, by one pixel, where an odd number of pixels is cut or added.

        Args:
            size_hw: Height and width of the result.
            convention: Who cropped. "transformers": its image processors on Pillow (an odd
                pixel is cut at the bottom right, added at the top left).
                "transformers-torchvision": its image processors on torchvision (cut and added
                at the bottom right). "torchvision": ``CenterCrop`` itself, timm's too (cut so
                that the margin is even, added at the bottom right).

        Source: ``transformers.image_transforms.center_crop``,
            ``transformers.image_processing_backends.TorchvisionBackend.center_crop`` (5.23),
            ``torchvision.transforms.v2.functional.center_crop``.
        """
        if convention not in _MARGIN:
            raise GeometryError(f"convention is {convention!r}, expected one of {sorted(_MARGIN)}")
        height, width = checked_size_hw(size_hw, what="size_hw")
        top = _MARGIN[convention](self.input_hw[0] - height)
        left = _MARGIN[convention](self.input_hw[1] - width)
        return self.crop((left, top, left + width, top + height))

    def pad(self, *, left: int = 0, top: int = 0, right: int = 0, bottom: int = 0) -> Self:
        """View after this many pixels of padding are added on each side."""
        left, top, right, bottom = _checked_integers(
            (left, top, right, bottom), 4, what="padding (left, top, right, bottom)"
        )
        if min(left, top, right, bottom) < 0:
            raise GeometryError(
                f"padding (left, top, right, bottom) is {(left, top, right, bottom)}, "
                "expected 0 or more: use crop to cut pixels away"
            )
        return self.crop((-left, -top, self.input_hw[1] + right, self.input_hw[0] + bottom))

    def to_input(self, x: Coordinate, y: Coordinate) -> tuple[Coordinate, Coordinate]:
        """Point of the input where the original's point ``(x, y)`` lies."""
        return (
            x * self.scale_yx[1] + self.offset_yx[1],
            y * self.scale_yx[0] + self.offset_yx[0],
        )

    def to_original(self, x: Coordinate, y: Coordinate) -> tuple[Coordinate, Coordinate]:
        """Point of the original where the input's point ``(x, y)`` lies."""
        return (
            (x - self.offset_yx[1]) / self.scale_yx[1],
            (y - self.offset_yx[0]) / self.scale_yx[0],
        )

    def box_to_original(self, box_xyxy: Box) -> Box:
        """Box of the original where a box of the input lies, cut to the original."""
        height, width = self.original_hw
        x0, y0 = self.to_original(box_xyxy[0], box_xyxy[1])
        x1, y1 = self.to_original(box_xyxy[2], box_xyxy[3])
        return (max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height)))

    @property
    def seen_box_xyxy(self) -> Box:
        """The part of the original that the model saw, in original pixels."""
        return self.box_to_original(self.content_box_xyxy)

    def to_json(self) -> dict[str, Any]:
        """The fields as plain numbers and lists; `from_json` gives back an equal view."""
        return {name: list(value) for name, value in dataclasses.asdict(self).items()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """View that `to_json` wrote.

        Raises:
            FormatError: A field is missing or unknown.
            GeometryError: The fields do not make a view.
        """
        expected = {field.name for field in dataclasses.fields(cls)}
        if set(value) != expected:
            raise FormatError(
                f"a view has the fields {sorted(value)}, expected {sorted(expected)}: "
                "the file is damaged, or another version of regard wrote it"
            )
        return cls(**value)


# Pixels cut at the top or left when ``excess`` are cut in all (added, where negative).
_MARGIN: dict[str, Callable[[int], int]] = {
    "transformers": lambda excess: excess // 2,
    "transformers-torchvision": lambda excess: int(excess / 2),
    "torchvision": lambda excess: round(excess / 2) if excess > 0 else int(excess / 2),
}


def checked_size_hw(value: tuple[int, int], *, what: str) -> tuple[int, int]:
    """``value`` as two Python integers above 0; ``what`` names it in the error."""
    height, width = _checked_integers(value, 2, what=what)
    if height < 1 or width < 1:
        raise GeometryError(f"{what} is {(height, width)}, expected (height, width), both above 0")
    return height, width


def checked_numbers(value: Any, count: int, *, what: str) -> Any:
    """``value`` as a tuple of ``count`` finite floats; ``what`` names it in the error."""
    try:
        numbers = tuple(float(number) for number in value)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise GeometryError(f"{what} is {value!r}, expected {count} finite numbers")
    return numbers


def _checked_integers(value: Any, count: int, *, what: str) -> tuple[int, ...]:
    try:
        integers = tuple(operator.index(number) for number in value)
    except TypeError:
        integers = ()
    if len(integers) != count:
        raise GeometryError(f"{what} is {value!r}, expected {count} whole numbers of pixels")
    return integers


def box_text(box: tuple[float, ...]) -> str:
    """``box`` as messages write it: ``(0, 12.5, 224, 211.5)``."""
    return "(" + ", ".join(f"{edge:.6g}" for edge in box) + ")"


def size_text(size_hw: tuple[int, int]) -> str:
    """``size_hw`` as messages write it, width first: ``640 x 480 px``."""
    return f"{size_hw[1]} x {size_hw[0]} px"
