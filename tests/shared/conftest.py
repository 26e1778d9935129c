"""Fixtures of the follower's tests."""

import pytest
from tests.shared.follower_support import Stage


@pytest.fixture
async def stage() -> Stage:
    """One replica, one question answered: in step with admin."""
    made = Stage()
    await made.listen()
    await made.replica()
    process = made.process()
    await made.publish(process.heartbeat(), process.heartbeat(closing=True))
    await made.page()
    assert made.follower().fresh("admin")
    made.asked.clear()
    return made
