"""The colours of objects: a mid tone for each name."""

TONES: dict[str, tuple[int, int, int]] = {
    "red": (206, 44, 42),
    "orange": (236, 128, 28),
    "yellow": (242, 208, 44),
    "green": (36, 160, 70),
    "blue": (36, 86, 206),
    "purple": (134, 52, 168),
    "white": (236, 234, 228),
    "black": (46, 46, 52),
}
"""sRGB by name."""

COLOURS = tuple(TONES)
"""The names of colours."""
