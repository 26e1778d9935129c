"""The one kind of PNG that passes between services: others read it, and nothing else is taken for it."""

import io
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from shared.picture import MAX_HEIGHT, MAX_PNG, MAX_WIDTH, check_png, encode_png, inflate

BLUE = bytes([11, 87, 164, 255])
PLAIN = encode_png(BLUE * 6, 3, 2)


@given(st.integers(1, 9), st.integers(1, 9), st.randoms(use_true_random=False))
def test_other_peoples_decoder_finds_the_pixels_that_were_put_in(
    width: int, height: int, random: object
) -> None:
    pixels = random.randbytes(width * height * 4)  # type: ignore[attr-defined]
    made = encode_png(pixels, width, height)
    picture = Image.open(io.BytesIO(made), formats=("PNG",))
    assert (picture.size, picture.mode, picture.tobytes()) == ((width, height), "RGBA", pixels)
    assert check_png(made) == (width, height)


def test_the_largest_of_one_colour_fits_and_the_largest_of_noise_does_not() -> None:
    assert check_png(encode_png(BLUE * MAX_WIDTH * MAX_HEIGHT, MAX_WIDTH, MAX_HEIGHT)) == (320, 96)
    noise = b"".join(struct.pack(">I", (n * 2654435761) % 2**32) for n in range(MAX_WIDTH * MAX_HEIGHT))
    with pytest.raises(ValueError, match="too large"):
        encode_png(noise, MAX_WIDTH, MAX_HEIGHT)
    assert len(encode_png(noise[: 160 * 48 * 4], 160, 48)) <= MAX_PNG, "half the size always fits"


@pytest.mark.parametrize(
    ("pixels", "width", "height"),
    [(b"", 0, 0), (BLUE, 1, 2), (BLUE * 2, 1, 1), (BLUE * 321, 321, 1), (BLUE * 97, 1, 97), (b"", -1, -1)],
)
def test_measures_must_be_right(pixels: bytes, width: int, height: int) -> None:
    with pytest.raises(ValueError):
        encode_png(pixels, width, height)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(*chunks: bytes, signature: bytes = PLAIN[:8]) -> bytes:
    return signature + b"".join(chunks)


HEADER = struct.pack(">II", 3, 2)
RGBA = bytes([8, 6, 0, 0, 0])
LINES = (b"\0" + BLUE * 3) * 2
END = chunk(b"IEND", b"")


def ihdr(kind: bytes = RGBA, measures: bytes = HEADER) -> bytes:
    return chunk(b"IHDR", measures + kind)


def idat(lines: bytes = LINES) -> bytes:
    return chunk(b"IDAT", zlib.compress(lines))


def test_control_a_file_that_these_tests_put_together_is_taken() -> None:
    assert check_png(png(ihdr(), idat(), END)) == (3, 2)


@pytest.mark.parametrize(
    "octets",
    {
        "nothing": b"",
        "a signature": PLAIN[:8],
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        "gif": b"GIF89a" + bytes(20),
        "cut off": PLAIN[:-1],
        "more behind it": PLAIN + b"<script>alert(1)</script>",
        "another checksum": PLAIN[:-1] + b"\0",
        "text in it": png(ihdr(), chunk(b"tEXt", b"Comment\0<script>"), idat(), END),
        "a profile": png(ihdr(), chunk(b"iCCP", b"x"), idat(), END),
        "two pictures": png(ihdr(), idat(), idat(), END),
        "no picture": png(ihdr(), END),
        "a palette": png(ihdr(bytes([8, 3, 0, 0, 0])), idat(), END),
        "interlaced": png(ihdr(bytes([8, 6, 0, 0, 1])), idat(), END),
        "filtered": png(ihdr(), idat((b"\1" + BLUE * 3) * 2), END),
        "too few pixels": png(ihdr(), idat(LINES[:-1]), END),
        "too many pixels": png(ihdr(), idat(LINES + b"\0"), END),
        "a bomb": png(ihdr(), chunk(b"IDAT", zlib.compress(bytes(30_000_000), 9)), END),
        "huge measures": png(ihdr(measures=struct.pack(">II", 2**31 - 1, 2**31 - 1)), idat(), END),
        "no measures": png(ihdr(measures=bytes(8)), idat(b""), END),
        "not packed": png(ihdr(), chunk(b"IDAT", LINES), END),
        "a long length": PLAIN[:8] + b"\xff\xff\xff\xff" + PLAIN[12:],
        "too large": PLAIN + bytes(MAX_PNG),
    }.values(),
)
def test_nothing_else_is_taken(octets: bytes) -> None:
    with pytest.raises(ValueError):
        check_png(octets)


@given(st.binary(max_size=400))
def test_any_octets_are_taken_or_refused_and_nothing_else_happens(octets: bytes) -> None:
    for made in (octets, PLAIN[:8] + octets, PLAIN[: len(octets)] + octets):
        try:
            check_png(made)
        except ValueError:
            continue
        assert made.startswith(PLAIN[:8])


def test_a_stream_is_never_unpacked_beyond_its_length() -> None:
    packed = zlib.compress(bytes(50_000_000), 9)
    with pytest.raises(ValueError, match="not as long"):
        inflate(packed, 100)
    with pytest.raises(ValueError, match="not as long"):
        inflate(zlib.compress(b"12345")[:-2], 5)
    with pytest.raises(ValueError, match="not as long"):
        inflate(zlib.compress(b"12345") + b"x", 5)
    assert inflate(zlib.compress(b"12345"), 5) == b"12345"
