"""Fault: the clock of one service is five minutes off. In memory, where time can be set; real limit on old knowledge.

Between services nothing depends on equal clocks: lifetimes run from receipt, and ages have a tolerance. What leaves
the house carries wsfed's time, so wsfed's clock must be right: then Entra refuses, and a page says so.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from pydantic_settings import BaseSettings

from deploy.standins.entra.errors import EntraError
from services.approval import app as approval_app
from services.wsfed import app as wsfed_app
from shared.assembly import Platform, Wired
from shared.clock import Clock
from tests.flows.support import Flow, start_flow

pytestmark = pytest.mark.long

OFF = timedelta(minutes=5)
APPS = {"approval": approval_app, "wsfed": wsfed_app}
BOTH_WAYS = pytest.mark.parametrize("off", [OFF, -OFF], ids=["ahead", "behind"])


class Off:
    """Another clock that goes as fast, and shows another time."""

    def __init__(self, right: Clock, off: timedelta) -> None:
        self._right = right
        self._off = off

    def now(self) -> datetime:
        return self._right.now() + self._off

    def monotonic(self) -> float:
        return self._right.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._right.sleep(seconds)


@asynccontextmanager
async def flow_with(folder: Path, service: str, off: timedelta) -> AsyncIterator[Flow]:
    """All services, one of them on a clock that is off; it also judges the age of messages by it."""
    app = APPS[service]
    right: Callable[..., Wired[Any]] = app.build

    def build(platform: Platform, settings: BaseSettings | None = None) -> Wired[Any]:
        return right(replace(platform, clock=Off(platform.clock, off)), settings)

    async with AsyncExitStack() as stack:
        stack.enter_context(mock.patch.object(app, "build", build))
        flow = await stack.enter_async_context(start_flow(folder, projection_max_age=300))
        for dispatcher in flow.world.bus._replicas[service]:
            dispatcher._clock = Off(flow.world.clock, off)
        yield flow


@BOTH_WAYS
async def test_approvals_clock_off_changes_nothing(tmp_path: Path, off: timedelta) -> None:
    async with flow_with(tmp_path, "approval", off) as flow:
        phone = await flow.phone()
        await flow.world.live(20)
        sign_in = await flow.begin()
        code = await sign_in.push()
        flow.world.clock.advance(100)  # of the 120 s that a request lives
        await phone.approve(code)
        user = await flow.entra.verify(await sign_in.take(), sign_in.pending)
        assert user.mfa
        assert user.authentication_instant == flow.world.clock.now()
        assert flow.world.bus.dead_letters == []
        assert len(flow.issuances()) == 1


async def test_wsfeds_clock_behind_is_within_the_tokens_life(tmp_path: Path) -> None:
    async with flow_with(tmp_path, "wsfed", -OFF) as flow:
        phone = await flow.phone()
        await flow.world.live(20)
        sign_in = await flow.begin()
        await phone.approve(await sign_in.push())
        assert flow.world.bus.dead_letters == []
        form = await sign_in.take()
        user = await flow.entra.verify(form, replace(sign_in.pending, max_age_seconds=None))
        assert user.issue_instant == flow.world.clock.now() - OFF


async def test_wsfeds_clock_ahead_is_refused_by_entra_and_signs_nothing_twice(tmp_path: Path) -> None:
    """The stand-in allows no skew at all; how much Entra does is not known. Never a second token for it."""
    async with flow_with(tmp_path, "wsfed", OFF) as flow:
        phone = await flow.phone()
        await flow.world.live(20)
        sign_in = await flow.begin()
        await phone.approve(await sign_in.push())
        assert flow.world.bus.dead_letters == []
        form = await sign_in.take()
        with pytest.raises(EntraError):
            await flow.entra.verify(form, sign_in.pending)
        assert "wresult" not in (await sign_in.token()).text
        assert len(flow.issuances()) == 1


@BOTH_WAYS
@pytest.mark.parametrize("service", sorted(APPS))
async def test_invitation_and_enrolment_work_with_a_clock_off(
    tmp_path: Path, service: str, off: timedelta
) -> None:
    """A new phone's invitation lives ten minutes: five of them are left, or fifteen."""
    async with flow_with(tmp_path, service, off) as flow:
        first, second = await flow.phone(), await flow.phone()
        assert first.key.device != second.key.device
        assert flow.world.bus.dead_letters == []


@BOTH_WAYS
async def test_knowledge_does_not_look_old_because_a_clock_is_off(tmp_path: Path, off: timedelta) -> None:
    async with flow_with(tmp_path, "wsfed", off) as flow:
        await flow.phone()
        await flow.world.live(600)
        subscriptions = flow.world.services["wsfed"].subscriptions
        assert subscriptions is not None
        assert subscriptions.alarms() == {}
        assert subscriptions.fresh("admin")
        assert subscriptions.fresh("approval")
