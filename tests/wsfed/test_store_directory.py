"""What wsfed knows of tenants, accounts and devices, on both databases: the newest news count, all of a device."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import structlog

from services.wsfed.domain.trust import Invitation, Standing, TrustedDevice, key_hash
from services.wsfed.ports import Account
from services.wsfed.store import DirectoryRepository
from shared.clock import ManualClock
from shared.contracts.admin import (
    AccountChanged,
    AccountStatus,
    Application,
    AuthenticatorChanged,
    AuthenticatorStatus,
    EndorsedBy,
    InvitationChanged,
    TenantConfigured,
)
from shared.contracts.approval import DeviceChanged, Endorsement
from shared.contracts.envelope import Origin, SignedMessage
from shared.ids import b64u
from shared.store.port import Database
from tests.received import received
from tests.world import START

CLOCK = ManualClock(START)


def an_account(**changes: Any) -> Account:
    made = Account("contoso", "ada", "ada@contoso.example", "immutable", AccountStatus.ACTIVE)
    return replace(made, **changes)


async def keep_account(directory: DirectoryRepository, account: Account, version: int) -> None:
    """What admin says when an account is like that."""
    news = AccountChanged(
        version=version,
        account=account.id,
        upn=account.upn,
        display_name="Ada",
        immutable_id=account.immutable_id,
        status=account.status,
        session_epoch=account.session_epoch,
    )
    await directory.keep_account(received(news, tenant=account.tenant))


async def test_older_news_of_an_account_change_nothing(database: Database) -> None:
    directory = DirectoryRepository(database, CLOCK)
    suspended = an_account(status=AccountStatus.SUSPENDED)
    await keep_account(directory, suspended, 3)
    for version in (1, 2, 3):
        await keep_account(directory, an_account(), version)
    assert await directory.account("contoso", "ada") == suspended
    await keep_account(directory, an_account(), 4)
    assert await directory.account_by_upn("contoso", "ada@contoso.example") == an_account()


async def test_a_new_application_is_found_at_once_at_every_replica(database: Database) -> None:
    """Only one replica gets the event. The other one must not go on saying that there is no application."""
    here, there = DirectoryRepository(database, CLOCK), DirectoryRepository(database, CLOCK)
    first = TenantConfigured(version=1, name="Contoso", applications=(), domains=())
    await here.keep_tenant(received(first, tenant="contoso"))
    assert await there.tenant("contoso") is not None
    application = Application(id="app", name="Microsoft 365")
    added = first.model_copy(update={"version": 2, "applications": (application,)})
    await here.keep_tenant(received(added, tenant="contoso"))
    found = await there.tenant("contoso")
    assert found is not None
    assert found.application("app") == application


async def test_an_account_keeps_its_session_epoch_with_the_generation(database: Database) -> None:
    directory = DirectoryRepository(database, CLOCK)
    await keep_account(directory, an_account(session_epoch=3), 1)
    assert await directory.account("contoso", "ada") == an_account(session_epoch=3)
    news = AccountChanged(
        version=1,
        generation=2,
        session_epoch=3,
        account="ada",
        upn="ada@contoso.example",
        display_name="Ada",
        immutable_id="immutable",
        status=AccountStatus.ACTIVE,
    )
    await directory.keep_account(received(news, tenant="contoso"))
    assert await directory.account("contoso", "ada") == an_account(session_epoch=2 * 2**31 + 3)


async def test_a_row_from_before_session_epochs_is_what_its_owner_says_now(database: Database) -> None:
    """A full pull after the update contradicts no row, and writes none anew."""
    directory = DirectoryRepository(database, CLOCK)
    await keep_account(directory, an_account(), 1)
    (row,) = await directory.accounts.collection.find({})
    assert "session_epoch" not in row
    with structlog.testing.capture_logs() as logs:
        await keep_account(directory, an_account(), 1)
    assert logs == []


async def test_fifty_versions_in_any_order_end_in_the_newest(database: Database) -> None:
    directory = DirectoryRepository(database, CLOCK)
    order = [(7 * n) % 50 for n in range(50)]
    await asyncio.gather(*(keep_account(directory, an_account(immutable_id=str(n)), n + 1) for n in order))
    kept = await directory.account("contoso", "ada")
    assert kept is not None
    # two first writers may collide; what was lost then comes again with the next event or pull
    await keep_account(directory, an_account(immutable_id="49"), 50)
    kept = await directory.account("contoso", "ada")
    assert kept is not None
    assert kept.immutable_id == "49"


async def test_nothing_is_found_under_another_tenant(database: Database) -> None:
    directory = DirectoryRepository(database, CLOCK)
    await keep_account(directory, an_account(), 1)
    await keep_device(directory, a_device(), 1)
    await keep_invitation(directory, an_invitation(), 1)
    assert await directory.account("fabrikam", "ada") is None
    assert await directory.account_by_upn("fabrikam", "ada@contoso.example") is None
    assert await directory.trusted_device("fabrikam", "ada", "device-1") is None
    assert await directory.invitation("fabrikam", "invitation-1") is None
    # nor does a name with the separator in it reach across
    assert await directory.account("contoso/ada", "") is None
    assert await directory.trusted_device("", "ada", "contoso/device-1") is None


async def test_user_name_of_a_removed_account_belongs_to_the_new_one(database: Database) -> None:
    directory = DirectoryRepository(database, CLOCK)
    await keep_account(directory, an_account(), 1)
    await keep_account(directory, an_account(status=AccountStatus.REMOVED), 2)
    assert await directory.account_by_upn("contoso", "ada@contoso.example") is None
    new = an_account(id="ada2", immutable_id="new")
    await keep_account(directory, new, 1)
    assert await directory.account_by_upn("contoso", "ada@contoso.example") == new


async def test_what_lapsed_is_found_by_nobody_until_its_owner_says_it_again(database: Database) -> None:
    directory = DirectoryRepository(database, CLOCK)
    await keep_account(directory, an_account(), 1)
    await keep_device(directory, a_device(), 1)
    await decide(directory, a_device(), 1)
    await keep_invitation(directory, an_invitation(), 1)
    fence = await database.fence()
    assert await directory.trusted_device("contoso", "ada", "device-1") == a_device()
    for projection in (directory.accounts, directory.devices, directory.invitations):
        assert await projection.lapse(fence.position) == 1
        assert await projection.lapse(fence.position) == 0
    assert await directory.account("contoso", "ada") is None
    assert await directory.account_by_upn("contoso", "ada@contoso.example") is None
    assert await directory.invitation("contoso", "invitation-1") is None
    assert await directory.trusted_device("contoso", "ada", "device-1") is None
    assert await directory.device_of_credential("contoso", "ada", "credential-1") is None
    # an old event that comes again is not the owner's word of today; a new version is
    await keep_account(directory, an_account(), 1)
    assert await directory.account("contoso", "ada") is None
    await keep_account(directory, an_account(), 2)
    found = await directory.account("contoso", "ada")
    assert found is not None
    assert replace(found, added=()) == an_account()


def an_invitation(**changes: Any) -> Invitation:
    made = Invitation(
        id="invitation-1",
        tenant="contoso",
        account="ada",
        public_key=bytes(32),
    )
    return replace(made, **changes)


async def keep_invitation(directory: DirectoryRepository, invitation: Invitation, version: int) -> None:
    """What admin says when an invitation is like that."""
    news = InvitationChanged.model_validate(
        {
            "version": version,
            "invitation": invitation.id,
            "account": invitation.account,
            "public_key": b64u(invitation.public_key),
            "issued_at": START,
            "expires_at": START + timedelta(hours=24),
            "status": "open",
        }
    )
    await directory.keep_invitation(received(news, tenant=invitation.tenant))


def a_device(**changes: Any) -> TrustedDevice:
    made = TrustedDevice(
        id="device-1", tenant="contoso", account="ada", public_key=b"key", credential_id="credential-1"
    )
    return replace(made, **changes)


async def keep_device(
    directory: DirectoryRepository,
    device: TrustedDevice,
    version: int,
    origin: Origin = Origin.SENT,
    *,
    removed: bool = False,
) -> bool:
    """What approval says when a device is like that, after its chain was verified."""
    news = DeviceChanged(
        version=version,
        device=device.id,
        account=device.account,
        credential_id=device.credential_id,
        public_key=b64u(device.public_key),
        endorsement=Endorsement(kind="invitation", by="invitation-1", signature=""),
        enrolled_at=START,
        status="removed" if removed else "active",
    )
    done = await directory.keep_device(received(news, tenant=device.tenant, origin=origin))
    await accept(directory, device.tenant, device.id)
    return done


ACCEPTED = SignedMessage("m", "wsfed.authenticator.accepted.v1", b"{}", bytes(64))


async def accept(directory: DirectoryRepository, tenant: str, device: str) -> bool:
    """What wsfed does as soon as chain and decision are both here; whether it did now."""
    found = await directory.acceptable(tenant, device)
    return found is not None and await directory.accept(found, ACCEPTED)


async def decide(
    directory: DirectoryRepository,
    device: TrustedDevice,
    version: int,
    status: str = "trusted",
    *,
    under: str | None = None,
    not_after: datetime | None = None,
    origin: Origin = Origin.SENT,
) -> None:
    """What admin says when it has decided so on that device; `under`: on its key, under another id."""
    news = AuthenticatorChanged(
        version=version,
        authenticator=under or device.id,
        kind="phone",
        account=device.account,
        credential_id=device.credential_id,
        key_sha256=key_hash(device.public_key),
        endorsed_by=EndorsedBy(kind="invitation", id="invitation-1"),
        status=AuthenticatorStatus(status),
        not_after=not_after,
    )
    await directory.keep_decision(received(news, tenant=device.tenant, origin=origin))
    await accept(directory, device.tenant, under or device.id)


async def raw_keep(directory: DirectoryRepository, device: TrustedDevice) -> None:
    """Chain and decision, without what wsfed does then."""
    news = DeviceChanged(
        version=1,
        device=device.id,
        account=device.account,
        credential_id=device.credential_id,
        public_key=b64u(device.public_key),
        endorsement=Endorsement(kind="invitation", by="invitation-1", signature=""),
        enrolled_at=START,
        status="active",
    )
    assert await directory.keep_device(received(news))
    decision = AuthenticatorChanged(
        version=1,
        authenticator=device.id,
        kind="phone",
        account=device.account,
        credential_id=device.credential_id,
        key_sha256=key_hash(device.public_key),
        endorsed_by=EndorsedBy(kind="invitation", id="invitation-1"),
        status=AuthenticatorStatus.TRUSTED,
    )
    await directory.keep_decision(received(decision))


async def test_a_device_counts_only_from_the_write_that_says_so_and_it_is_said_once(
    database: Database,
) -> None:
    directory = DirectoryRepository(database, CLOCK)
    await keep_account(directory, an_account(), 1)
    await raw_keep(directory, a_device())
    assert await standing_of(directory, a_device()) is Standing.WAITING
    found = await directory.acceptable("contoso", "device-1")
    assert found is not None
    said = await asyncio.gather(*(directory.accept(found, ACCEPTED) for _ in range(5)))
    assert sorted(said) == [False] * 4 + [True]
    assert await standing_of(directory, a_device()) is Standing.TRUSTED
    assert await directory.acceptable("contoso", "device-1") is None
    row = await directory.devices.collection.find_one({"_id": "contoso/device-1"})
    assert row is not None
    assert [each["id"] for each in row["outbox"]] == ["m"]
    (added,) = await directory.devices_since("contoso", "ada", START - timedelta(seconds=1))
    assert (added.id, added.accepted_at) == ("device-1", START)
    assert await directory.devices_since("contoso", "ada", START) == []


async def test_what_is_revoked_is_no_news(database: Database) -> None:
    directory = DirectoryRepository(database, CLOCK)
    await keep_device(directory, a_device(), 1)
    await decide(directory, a_device(), 1)
    await decide(directory, a_device(), 2, "revoked")
    assert await directory.devices_since("contoso", "ada", START - timedelta(days=1)) == []


async def test_a_device_from_before_acceptance_counts_and_nobody_is_told_of_it(database: Database) -> None:
    """The release before kept no hash of the key. What that one trusted is no news, also when it changes."""
    directory = DirectoryRepository(database, CLOCK)
    await directory.devices.collection.insert(
        {
            "_id": "contoso/device-1",
            "tenant": "contoso",
            "account": "ada",
            "public_key": a_device().public_key,
            "credential_id": a_device().credential_id,
            "removed": False,
            "version": 1,
        }
    )
    await decide(directory, a_device(), 1)
    assert await standing_of(directory, a_device()) is Standing.TRUSTED
    assert await directory.acceptable("contoso", "device-1") is None
    await keep_device(directory, a_device(), 2)
    assert await standing_of(directory, a_device()) is Standing.TRUSTED
    assert await directory.devices_since("contoso", "ada", START - timedelta(days=365)) == []


async def standing_of(directory: DirectoryRepository, device: TrustedDevice) -> Standing:
    return await directory.standing(device.tenant, device.account, device.id)


async def test_a_device_counts_by_chain_and_decision_together_whichever_comes_first(
    database: Database,
) -> None:
    for number, order in enumerate((("chain", "decision"), ("decision", "chain"))):
        directory = DirectoryRepository(database, CLOCK)
        device = a_device(id=f"device-{number}", credential_id=f"c{number}", public_key=b"key %d" % number)
        for step in order:
            assert await standing_of(directory, device) is Standing.WAITING
            assert await directory.trusted_device("contoso", "ada", device.id) is None
            if step == "chain":
                await keep_device(directory, device, 1)
            else:
                await decide(directory, device, 1)
        assert await standing_of(directory, device) is Standing.TRUSTED
        assert await directory.trusted_device("contoso", "ada", device.id) == device
        assert await directory.device_of_credential("contoso", "ada", device.credential_id) == device


async def test_a_decision_on_another_key_credential_or_account_is_none_on_this_device(
    database: Database,
) -> None:
    directory = DirectoryRepository(database, CLOCK)
    others: list[dict[str, Any]] = [
        {"public_key": b"other"},
        {"credential_id": "other"},
        {"account": "bob"},
        {"tenant": "fabrikam"},
    ]
    for number, other in enumerate(others):
        device = a_device(id=f"device-{number}", credential_id=f"c{number}", public_key=b"key %d" % number)
        await keep_device(directory, device, 1)
        await decide(directory, replace(device, **other), 1)
        assert await directory.trusted_device("contoso", "ada", device.id) is None


@pytest.mark.parametrize("status", ["refused", "revoked"])
async def test_refused_and_revoked_devices_do_not_count_and_a_revocation_is_final(
    database: Database, status: str
) -> None:
    directory = DirectoryRepository(database, CLOCK)
    await keep_device(directory, a_device(), 1)
    await decide(directory, a_device(), 1)
    await decide(directory, a_device(), 2, status)
    assert await standing_of(directory, a_device()) is Standing.ENDED
    if status == "revoked":  # whatever backup admin's database was put back to
        for origin in Origin:
            await decide(directory, a_device(), 2**31 - 1, origin=origin)
        fence = await database.fence()
        await directory.authenticators.lapse(fence.position)
    assert await standing_of(directory, a_device()) is Standing.ENDED


@pytest.mark.parametrize("same", ["key", "credential"])
async def test_a_tombstone_holds_for_key_and_credential_under_any_id(database: Database, same: str) -> None:
    """Also when only the tombstone was replicated, as after wsfed's database was rebuilt."""
    directory = DirectoryRepository(database, CLOCK)
    again = a_device(id="another-id")
    lost = a_device(**({"credential_id": "old"} if same == "key" else {"public_key": b"old"}))
    await decide(directory, lost, 2, "revoked")
    await keep_device(directory, again, 1)
    await decide(directory, again, 1)
    assert await standing_of(directory, again) is Standing.ENDED
    assert await directory.device_of_credential("contoso", "ada", again.credential_id) is None
    # the same key elsewhere is another matter
    elsewhere = a_device(id="elsewhere", tenant="fabrikam")
    await keep_device(directory, elsewhere, 1)
    await decide(directory, elsewhere, 1)
    assert await standing_of(directory, elsewhere) is Standing.TRUSTED


async def test_a_refusal_under_another_id_touches_no_trusted_key(database: Database) -> None:
    """Whoever holds an old link could otherwise end a phone by having its key refused."""
    directory = DirectoryRepository(database, CLOCK)
    await keep_device(directory, a_device(), 1)
    await decide(directory, a_device(), 1)
    for number in range(30):
        await decide(directory, a_device(), 1, "refused", under=f"other-{number}")
    assert await standing_of(directory, a_device()) is Standing.TRUSTED


async def test_more_tombstones_than_are_read_at_once_end_a_device_all_the_same(database: Database) -> None:
    directory = DirectoryRepository(database, CLOCK)
    await keep_device(directory, a_device(), 1)
    await decide(directory, a_device(), 1)
    for number in range(30):
        await decide(directory, a_device(), 1, "revoked", under=f"other-{number:02d}")
    assert await standing_of(directory, a_device()) is Standing.ENDED


async def test_a_device_counts_until_its_own_end(database: Database) -> None:
    clock = ManualClock(START)
    directory = DirectoryRepository(database, clock)
    await keep_device(directory, a_device(), 1)
    await decide(directory, a_device(), 1, not_after=START + timedelta(hours=1))
    clock.advance(3599)
    assert await standing_of(directory, a_device()) is Standing.TRUSTED
    clock.advance(1)
    assert await standing_of(directory, a_device()) is Standing.ENDED


@pytest.mark.parametrize("setting", [False, True])
async def test_a_device_of_before_admin_decided_waits_for_migrate_unless_the_operator_says_otherwise(
    database: Database, setting: bool
) -> None:
    """And the setting is about those that counted then: a new one needs the decision all the same."""
    directory = DirectoryRepository(database, CLOCK, trust_without_decision=setting)
    before, new = a_device(), a_device(id="new", credential_id="new", public_key=b"new")
    await keep_device(directory, before, 1)
    await directory.devices.collection.update({"_id": "contoso/device-1"}, {"$unset": {"key_sha256": ""}})
    await keep_device(directory, before, 1)  # approval says it again: nothing changes by that
    await keep_device(directory, new, 1)
    assert await standing_of(directory, before) is (Standing.TRUSTED if setting else Standing.WAITING)
    assert await standing_of(directory, new) is Standing.WAITING
    await decide(directory, before, 1)
    assert await standing_of(directory, before) is Standing.TRUSTED
    await decide(directory, before, 2, "revoked")
    assert await standing_of(directory, before) is Standing.ENDED


async def test_removed_device_never_comes_back_and_keys_never_change(database: Database) -> None:
    directory = DirectoryRepository(database, CLOCK)
    assert await keep_device(directory, a_device(), 1)
    await decide(directory, a_device(), 1)
    for origin in Origin:  # not even in a pull of everything that approval has
        assert not await keep_device(directory, a_device(public_key=b"other"), 9, origin)
        assert not await keep_device(directory, a_device(account="bob"), 9, origin)
        assert not await keep_device(directory, a_device(public_key=b"other"), 1, origin)
    assert await directory.trusted_device("contoso", "ada", "device-1") == a_device()
    assert await keep_device(directory, a_device(), 10, removed=True)
    for version, origin in ((11, Origin.SENT), (11, Origin.FULL_PULL), (10, Origin.FULL_PULL)):
        await keep_device(directory, a_device(), version, origin)
        assert await standing_of(directory, a_device()) is Standing.ENDED


async def test_a_removal_gives_a_known_device_no_other_key_or_owner(database: Database) -> None:
    directory = DirectoryRepository(database, CLOCK)
    await keep_device(directory, a_device(), 1)
    await keep_device(directory, a_device(account="bob", public_key=b"other"), 2, removed=True)
    (row,) = await database.collection("devices").find({})
    assert (row["account"], row["public_key"], row["removed"]) == ("ada", b"key", True)
    assert await standing_of(directory, a_device()) is Standing.ENDED


async def test_a_replica_holds_a_tenant_for_seconds_only(database: Database) -> None:
    """News that this replica keeps count at once, those that another one kept within five seconds."""
    here, there = DirectoryRepository(database, CLOCK), DirectoryRepository(database, CLOCK)
    first = TenantConfigured(version=1, name="Contoso", applications=(), domains=())
    await here.keep_tenant(received(first))
    for replica in (here, there):
        found = await replica.tenant("contoso")
        assert found is not None
        assert found.configured == first
    removed = first.model_copy(update={"version": 2, "removed": True})
    await here.keep_tenant(received(removed))
    found = await here.tenant("contoso")
    assert found is not None
    assert found.configured.removed
    CLOCK.advance(5)
    found = await there.tenant("contoso")
    assert found is not None
    assert found.configured.removed
