"""The plugin's icon, drawn by `make generate`: one point that fans out to five, on a dark ground."""

from __future__ import annotations

import struct
import zlib
from math import hypot
from typing import Final

PATH: Final = ".claude-plugin/icon.png"
SIZE: Final = 512
GROUND, LINE, START, END = (22, 27, 34), (88, 166, 255), (240, 246, 252), (63, 185, 80)
FROM: Final = (116.0, 256.0)
TO: Final = tuple((388.0, 256.0 + step * 80) for step in (-2, -1, 0, 1, 2))
Colour = tuple[int, int, int]


def covered(x: float, y: float, to: tuple[float, float]) -> float:
    """Return the distance in pixels between a point and the segment from FROM to `to`."""
    dx, dy = to[0] - FROM[0], to[1] - FROM[1]
    along = max(0.0, min(1.0, ((x - FROM[0]) * dx + (y - FROM[1]) * dy) / (dx * dx + dy * dy)))
    return hypot(x - FROM[0] - along * dx, y - FROM[1] - along * dy)


def blend(under: Colour, over: Colour, amount: float) -> Colour:
    amount = max(0.0, min(1.0, amount))
    mixed = [round(a + (b - a) * amount) for a, b in zip(under, over, strict=True)]
    return mixed[0], mixed[1], mixed[2]


def pixel(x: int, y: int) -> Colour:
    colour = blend(GROUND, LINE, 6.5 - min(covered(x, y, to) for to in TO))
    colour = blend(colour, END, 28.5 - min(hypot(x - to[0], y - to[1]) for to in TO))
    return blend(colour, START, 44.5 - hypot(x - FROM[0], y - FROM[1]))


def rows() -> bytes:
    """Return the picture's lines as PNG has them before compression: 512 x 512, eight bits a colour."""
    return b"".join(b"\0" + bytes(part for x in range(SIZE) for part in pixel(x, y)) for y in range(SIZE))


def png() -> bytes:
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", SIZE, SIZE, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows(), 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
