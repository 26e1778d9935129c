"""Making a screenshot small: at most 256 colours and a palette (PNG specification, third edition)."""

import struct
import zlib
from collections import Counter
from pathlib import Path

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def shrink(file: Path) -> None:
    """Rewrite an 8-bit RGB or RGBA picture without interlacing as a palette picture; alpha is dropped."""
    width, height, pixels = _read(file.read_bytes())
    colours = list(zip(pixels[0::3], pixels[1::3], pixels[2::3], strict=True))
    seen = [colour for colour, _ in Counter(colours).most_common()]
    palette = seen[:256]
    index = {colour: number for number, colour in enumerate(palette)}
    for rare in seen[256:]:  # a handful of pixels at the edges of letters
        index[rare] = min(
            range(256), key=lambda n: sum((a - b) ** 2 for a, b in zip(rare, palette[n], strict=True))
        )
    data = bytes(index[colour] for colour in colours)
    rows = b"".join(b"\0" + data[y * width : (y + 1) * width] for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = (
        (b"IHDR", header),
        (b"PLTE", bytes(sum(palette, ()))),
        (b"IDAT", zlib.compress(rows, 9)),
        (b"IEND", b""),
    )
    file.write_bytes(_SIGNATURE + b"".join(_chunk(kind, body) for kind, body in parts))


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _read(picture: bytes) -> tuple[int, int, bytes]:
    """Width, height and the RGB octets of a picture as Chromium writes it."""
    assert picture.startswith(_SIGNATURE)
    at, packed, header = 8, b"", b""
    while at < len(picture):
        length, kind = struct.unpack_from(">I4s", picture, at)
        body = picture[at + 8 : at + 8 + length]
        header = body if kind == b"IHDR" else header
        packed += body if kind == b"IDAT" else b""
        at += 12 + length
    width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", header)
    assert depth == 8
    assert colour in (2, 6)
    assert rest[2] == 0
    step = 3 if colour == 2 else 4
    raw, line = zlib.decompress(packed), width * step
    before, out = bytearray(line), bytearray()
    for y in range(height):
        start = y * (line + 1)
        before = _unfilter(raw[start], bytearray(raw[start + 1 : start + 1 + line]), before, step)
        out += before if step == 3 else b"".join(before[x : x + 3] for x in range(0, line, 4))
    return width, height, bytes(out)


def _unfilter(kind: int, row: bytearray, before: bytearray, step: int) -> bytearray:
    """Section 9.2: none, sub, up, average, Paeth."""
    for x in range(len(row) if kind else 0):
        left = row[x - step] if x >= step else 0
        above, corner = before[x], before[x - step] if x >= step else 0
        if kind == 1:
            guess = left
        elif kind == 2:
            guess = above
        elif kind == 3:
            guess = (left + above) // 2
        else:
            p = left + above - corner
            near = (abs(p - left), abs(p - above), abs(p - corner))
            guess = left if near[0] == min(near) else above if near[1] == min(near) else corner
        row[x] = (row[x] + guess) & 0xFF
    return row
