"""The sample server and a Chromium, once for each module that looks at pages."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.pages.browser import Shown


@pytest.fixture(scope="module")
def server() -> "Iterator[Shown]":
    """The sample server. Tests use `shown`, which is the same with nothing left of the test before."""
    from tests.pages.browser import sample_server  # Playwright takes long to import

    with sample_server() as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """A fresh headless Chromium. Needs the marker `integration` and the xdist group `chromium`."""
    from tests.pages.browser import chromium

    with chromium() as started:
        yield started


@pytest.fixture
def shown(server: "Shown") -> "Shown":
    """The sample server at the start of a sign-in."""
    server.reset()
    return server
