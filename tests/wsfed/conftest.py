"""The whole system behind its routes, for the tests of wsfed's HTTP side."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.flows.support import Flow, start_flow


@pytest.fixture
async def flow(tmp_path: Path) -> AsyncIterator[Flow]:
    """admin, approval and wsfed at work; Ada is invited."""
    async with start_flow(tmp_path) as started:
        yield started
