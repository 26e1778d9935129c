"""Approvals (docs/flows/sign-in.md, steps 4 to 7) and the attacks on them."""

import pytest

from shared.errors import Conflict
from tests.approval.support import Approval


async def test_right_code_is_accepted_and_told(approval: Approval) -> None:
    phone = await approval.phone()
    asked = await approval.ask()
    assert await phone.listed() == [asked.id]
    await phone.approve(asked)
    assert await approval.outcomes() == [(asked.command.transaction, "accepted")]
    assert await phone.listed() == []


async def test_rejects_replayed_approval(approval: Approval) -> None:
    phone = await approval.phone()
    asked = await approval.ask()
    await phone.approve(asked)
    with pytest.raises(Conflict) as refused:
        await phone.approve(asked)
    assert refused.value.reason == "accepted"
