"""provisioning, wired on memory, with a directory that obeys the test."""

from pathlib import Path

import pytest

from tests.provisioning.support import Provisioning, make_provisioning


@pytest.fixture
async def provisioning(tmp_path: Path) -> Provisioning:
    """provisioning as it starts, without a connection."""
    return await make_provisioning(tmp_path)


@pytest.fixture
async def connected(provisioning: Provisioning) -> Provisioning:
    """With a connection that is on."""
    await provisioning.connect()
    await provisioning.work()
    return provisioning
