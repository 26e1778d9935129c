"""notify, wired on memory with an outside that obeys the test."""

from pathlib import Path

import pytest

from tests.notify.support import Notify, make_notify


@pytest.fixture
async def notify(tmp_path: Path) -> Notify:
    """notify as it starts."""
    return await make_notify(tmp_path)
