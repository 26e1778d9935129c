"""approval, wired on memory."""

from pathlib import Path

import pytest

from tests.approval.support import Approval, make_approval


@pytest.fixture
async def approval(tmp_path: Path) -> Approval:
    """approval as it starts, knowing the tenant contoso and nobody in it."""
    return await make_approval(tmp_path)
