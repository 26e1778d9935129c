"""The process is killed, as by SIGKILL, before or after each thing that it does, and starts again on its data."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from shared.contracts.admin import AccountStatus
from shared.testing import counting
from tests.provisioning.support import MINUTE, SKU, Provisioning, make_provisioning

POINTS = 25
"""Writes and requests of the story below; the first test sees to it that they are all."""


class Bomb:
    """Counts writes and requests. The one at `at` is the last, and `after` says whether it is still carried out."""

    def __init__(self, at: int, *, after: bool = False) -> None:
        self._at = at
        self._after = after
        self.count = 0
        self.gone_off = False
        self.armed = False

    async def __call__(self, act: Any, *arguments: Any, **named: Any) -> Any:
        if self.armed:
            if self.gone_off:
                raise asyncio.CancelledError
            self.count += 1
            if self.count == self._at:
                self.gone_off = True
                if self._after:
                    await act(*arguments, **named)
                raise asyncio.CancelledError
        return await act(*arguments, **named)


async def rigged(folder: Path, bomb: Bomb, monkeypatch: pytest.MonkeyPatch) -> Provisioning:
    provisioning = await make_provisioning(folder)
    for method in ("insert", "update"):
        act = getattr(counting._Counted, method)

        async def write(self: Any, *arguments: Any, _act: Any = act, **named: Any) -> Any:
            return await bomb(_act, self, *arguments, **named)

        monkeypatch.setattr(counting._Counted, method, write)
    call = provisioning.directory.call

    async def ask(*arguments: Any) -> Any:
        return await bomb(call, *arguments)

    monkeypatch.setattr(provisioning.directory, "call", ask)
    await provisioning.connect()
    await provisioning.work()
    return provisioning


async def tell(provisioning: Provisioning, bomb: Bomb) -> None:
    """A person is made with a licence, suspended, renamed and let in again, and another one is removed."""

    async def work() -> None:
        bomb.armed = True
        await provisioning.work(2)
        bomb.armed = False
        if bomb.gone_off:
            await provisioning.restart()
            await provisioning.later(2 * MINUTE + 1, rounds=3)
            bomb.gone_off = False

    await provisioning.account("ada")
    await provisioning.profile("ada", usage_location="FR", licences=(SKU,))
    await provisioning.account("bob")
    await work()
    await provisioning.account("ada", status=AccountStatus.SUSPENDED, session_epoch=1)
    await provisioning.account("bob", status=AccountStatus.REMOVED)
    await work()
    await provisioning.account("ada", status=AccountStatus.ACTIVE, upn="countess@contoso.example")
    await work()


async def test_the_points_are_all_that_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = Bomb(10**6)
    await tell(await rigged(tmp_path, bomb, monkeypatch), bomb)
    assert bomb.count == POINTS


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, POINTS + 1))
async def test_killed_at_any_point_it_ends_as_if_nothing_had_happened(
    at: int, after: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = Bomb(at, after=after)
    provisioning = await rigged(tmp_path, bomb, monkeypatch)
    await tell(provisioning, bomb)
    assert bomb.count >= at
    user = provisioning.directory.only
    assert user["userPrincipalName"] == "countess@contoso.example"
    assert user["accountEnabled"] is True
    assert user["assignedLicenses"] == [{"skuId": SKU}]
    assert [each["onPremisesImmutableId"] for each in provisioning.directory.deleted.values()] == [
        "fd8d0ec5c5004116bob"
    ]
    assert user["id"] in provisioning.directory.revoked
    for name in ("ada", "bob"):
        assert provisioning.person(name).state == "done"
    assert provisioning.person("ada").object_id == user["id"]
