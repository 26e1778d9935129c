"""The stand-in's style sheet is its own, because it shares nothing with what it checks. Its colours may not drift: that
text stands out from its background is checked on our pages only (`tests/pages/axe.py`).
"""

import re
from pathlib import Path

import pytest

from deploy.standins.entra.pages import STYLE

OURS = (Path(__file__).parents[2] / "shared/web/static/blok365.css").read_text("utf-8")


def tokens(style: str, scheme: int) -> dict[str, str]:
    """The custom properties of one colour scheme, by name. 0: light; 1: what dark has instead."""
    blocks = re.findall(r"^ *:root \{(.*?)\}", style, flags=re.MULTILINE | re.DOTALL)
    return dict(re.findall(r"(--[\w-]+): ([^;]+);", blocks[scheme]))


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_the_stand_ins_colours_are_those_of_our_pages(scheme: int) -> None:
    theirs = tokens(STYLE, scheme)
    assert len(theirs) >= 12
    assert theirs.items() <= tokens(OURS, scheme).items()
