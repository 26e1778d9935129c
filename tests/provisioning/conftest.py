"""provisioning, wired on memory, with a directory that obeys the test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.provisioning.support import Provisioning, make_provisioning


@pytest.fixture
async def provisioning(tmp_path: Path) -> AsyncIterator[Provisioning]:
    """provisioning as it starts, without a connection. Every request that it sends fits Microsoft's schema."""
    made = await make_provisioning(tmp_path)
    yield made
    assert made.directory.misfits == []


@pytest.fixture
async def connected(provisioning: Provisioning) -> Provisioning:
    """With a connection that is on."""
    await provisioning.connect()
    await provisioning.work()
    return provisioning
