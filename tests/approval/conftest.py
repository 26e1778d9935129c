"""approval, wired on memory, and a phone-sized browser on its page."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.approval.support import Approval, make_approval

if TYPE_CHECKING:
    from playwright.async_api import Browser

    from tests.approval.handset import Handset


@pytest.fixture
async def approval(tmp_path: Path) -> Approval:
    """approval as it starts, knowing the tenant contoso and nobody in it."""
    return await make_approval(tmp_path)


@pytest_asyncio.fixture(loop_scope="session")
async def handset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chromium: "Browser"
) -> "AsyncIterator[Handset]":
    """See `Handset`. The test needs the marks that `chromium` asks for."""
    from tests.approval.handset import (
        open_handset,  # Playwright takes long to import, and most tests do without it
    )

    async with open_handset(tmp_path, monkeypatch, chromium) as opened:
        yield opened
