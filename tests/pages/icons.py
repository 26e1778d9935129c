"""BlokKey's icons, drawn from shared/web/static/mark.svg: `python -m tests.pages.icons` writes them anew.

They are committed, because systems want an installed page's icons as PNG and nothing that runs should need a library to
draw them. Pillow is there for the tests only.
"""

import io
import re
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

from PIL import Image, ImageDraw

import shared.web

WEB = Path(shared.web.__file__).parent
MARK = WEB / "static" / "mark.svg"
FOLDER = WEB / "phone" / "static"
FINER = 4
"""Drawn that much larger and scaled down, for smooth edges."""
SAFE = 0.72
"""Size of the mark in an icon that the system cuts to a shape of its own: within its inner 80 per cent."""
ICONS: Mapping[str, tuple[int, bool]] = {
    "icon-192.png": (192, False),
    "icon-512.png": (512, False),
    "maskable-512.png": (512, True),
    "apple-touch-icon.png": (180, True),
}
"""Edge in px, and whether the ground goes to the edges, by file name."""
Point = tuple[float, float]


def drawn() -> Mapping[str, bytes]:
    """Every icon, by file name."""
    return {name: _icon(size, whole) for name, (size, whole) in ICONS.items()}


def _icon(size: int, whole: bool) -> bytes:
    """`whole`: the ground without the mark's own corners and margin, and the tick smaller."""
    svg = ElementTree.parse(MARK).getroot()
    ground, tick = (next(each for each in svg if each.tag.endswith(name)) for name in ("rect", "path"))
    side = float(svg.attrib["viewBox"].split()[2])
    edge = size * FINER
    scale = edge / side * (SAFE if whole else 1)
    margin = (edge - side * scale) / 2

    def at(point: Point) -> Point:
        return margin + point[0] * scale, margin + point[1] * scale

    image = Image.new("RGBA", (edge, edge), ground.attrib["fill"] if whole else (0, 0, 0, 0))
    pen = ImageDraw.Draw(image)
    if not whole:
        x, y, width, height, radius = (
            float(ground.attrib[name]) for name in ("x", "y", "width", "height", "rx")
        )
        corners = (at((x, y)), at((x + width, y + height)))
        pen.rounded_rectangle(corners, radius * scale, fill=ground.attrib["fill"])
    points = [at(point) for point in _points(tick.attrib["d"])]
    stroke, colour = float(tick.attrib["stroke-width"]) * scale, tick.attrib["stroke"]
    pen.line(points, fill=colour, width=round(stroke))
    for x, y in points:  # round caps and joins
        pen.ellipse((x - stroke / 2, y - stroke / 2, x + stroke / 2, y + stroke / 2), fill=colour)
    file = io.BytesIO()
    image.resize((size, size), Image.Resampling.LANCZOS).save(file, "PNG", optimize=True)
    return file.getvalue()


def _points(path: str) -> list[Point]:
    """Of a path of straight lines: `M`, `L` and `l`. Raises ValueError for any other."""
    points: list[Point] = []
    for kind, numbers in re.findall(r"([A-Za-z])([^A-Za-z]*)", path):
        x, y = (float(number) for number in re.findall(r"-?[\d.]+", numbers))
        if kind == "l":
            x, y = points[-1][0] + x, points[-1][1] + y
        elif kind not in "ML":
            raise ValueError(f"the mark has a curve: {kind}")
        points.append((x, y))
    return points


if __name__ == "__main__":
    for name, data in drawn().items():
        (FOLDER / name).write_bytes(data)
