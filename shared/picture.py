"""The one kind of picture that passes between services: a small PNG that we make ourselves, and know again.

Nothing here decodes pictures of other people. An administrator's browser does that and sends bare pixels
(docs/flows/logo.md); what we make of them is 8-bit RGBA, not interlaced, one IDAT, every row unfiltered, and nothing
else. A reader takes only that. PNG: W3C Recommendation, third edition, sections 5, 9 and 11.
"""

import struct
import zlib

MAX_WIDTH = 320
MAX_HEIGHT = 96
"""Pixels: twice what the pages show, for dense screens."""
MAX_PNG = 36 * 1024
"""Octets. A page weighs that much more the first time."""
CHANNELS = 4

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KIND = bytes([8, 6, 0, 0, 0])
"""Bit depth, colour type RGBA, compression, filter method, interlace."""


def encode_png(pixels: bytes, width: int, height: int) -> bytes:
    """A PNG of these RGBA octets, row by row from the top. Raises ValueError: measures, or too large a file."""
    _check_measures(width, height)
    row = width * CHANNELS
    if len(pixels) != row * height:
        raise ValueError("not as many pixels as it says")
    lines = b"".join(b"\0" + pixels[at : at + row] for at in range(0, len(pixels), row))
    header = struct.pack(">II", width, height) + _KIND
    made = (
        _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(lines, 9)) + _chunk(b"IEND", b"")
    )
    if len(made) > MAX_PNG:
        raise ValueError("too large a file")
    return made


def check_png(octets: bytes) -> tuple[int, int]:
    """Width and height of a PNG that `encode_png` could have made. Raises ValueError for any other octets."""
    if len(octets) > MAX_PNG or not octets.startswith(_SIGNATURE):
        raise ValueError("not a PNG of ours")
    at, chunks = len(_SIGNATURE), list[tuple[bytes, bytes]]()
    while at < len(octets):
        name, data = (
            octets[at + 4 : at + 8],
            octets[at + 8 : at + 8 + int.from_bytes(octets[at : at + 4], "big")],
        )
        whole = _chunk(name, data)
        if octets[at : at + len(whole)] != whole:
            raise ValueError("a chunk that is cut off, or has another checksum")
        chunks.append((name, data))
        at += len(whole)
    if [name for name, _ in chunks] != [b"IHDR", b"IDAT", b"IEND"] or chunks[2][1]:
        raise ValueError("other chunks than ours")
    header = chunks[0][1]
    if len(header) != 13 or header[8:] != _KIND:
        raise ValueError("another kind of PNG")
    width, height = struct.unpack(">II", header[:8])
    _check_measures(width, height)
    row = width * CHANNELS + 1
    lines = inflate(chunks[1][1], row * height)
    if any(lines[::row]):
        raise ValueError("a row that is filtered")
    return width, height


def inflate(data: bytes, length: int) -> bytes:
    """What is in a zlib stream (RFC 1950), which must be exactly so long. Raises ValueError; never makes more."""
    reader = zlib.decompressobj()
    try:
        made = reader.decompress(data, length + 1)
    except zlib.error as error:
        raise ValueError("not a zlib stream") from error
    if len(made) != length or not reader.eof or reader.unused_data:
        raise ValueError("not as long as it says")
    return made


def _check_measures(width: int, height: int) -> None:
    if not (1 <= width <= MAX_WIDTH and 1 <= height <= MAX_HEIGHT):
        raise ValueError("measures out of range")


def _chunk(name: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)
