"""wsfed's collections on both databases: what is kept comes back, and of many writers the right one wins."""

import asyncio
import json
from dataclasses import fields, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from services.wsfed.domain.authentication import Method, VerifiedAuthentication
from services.wsfed.domain.context import SignInContext
from services.wsfed.domain.keys import RsaSigningKey, certificate_base64
from services.wsfed.domain.request import SignInRequest
from services.wsfed.domain.transaction import LIFETIME, Challenge, DeviceProof, Transaction, TransactionState
from services.wsfed.domain.trust import Invitation, Standing, TrustedDevice, key_hash
from services.wsfed.ports import Account
from services.wsfed.store import DirectoryRepository, SigningKeyRepository, TransactionRepository
from services.wsfed.store import keys as keys_module
from services.wsfed.store.transactions import HELD_AT_MOST, HELD_FOR
from shared.clock import ManualClock
from shared.contracts.admin import (
    AccountChanged,
    AccountStatus,
    AuthenticatorChanged,
    AuthenticatorStatus,
    EndorsedBy,
    InvitationChanged,
    TenantConfigured,
)
from shared.contracts.approval import DeviceChanged, Endorsement
from shared.contracts.envelope import Origin, SignedMessage
from shared.contracts.wsfed import KeysChanged
from shared.crypto.key_file import make_key
from shared.ids import SeededIds, b64u
from shared.store.memory import MemoryDatabase
from shared.store.mongo import MongoDatabase
from shared.store.port import Database
from shared.store.sealing import SealingKey
from tests.received import received
from tests.world import START, make_system

CLOCK = ManualClock(START)


def a_context(challenge: str) -> SignInContext:
    """Every field filled with something of its kind."""
    kinds: dict[str, Any] = {"bool": False, "datetime": START, "str": "text", "int": 1}
    made: dict[str, Any] = {}
    for field in fields(SignInContext):
        kind = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", "str")
        made[field.name] = kinds.get(kind, "text")
    made |= {"method": "push", "challenge": challenge, "upn": "zoë'<&>\u2028@contoso.example"}
    made |= {"expires_at": START + timedelta(seconds=120)}
    return SignInContext(**made)


def a_challenge(name: str = "challenge-1") -> Challenge:
    return Challenge(context=a_context(name), code="482913")


USERNAME = "ada@contoso.example"


def a_transaction(name: str = "transaction-1", **changes: Any) -> Transaction:
    made = Transaction(
        id=name,
        tenant="contoso",
        application="app",
        request=SignInRequest(
            wreply="https://login.microsoftonline.com/login.srf",
            wtrealm="urn:federation:MicrosoftOnline",
            wctx="\"'<>&\u2028é",
            wfresh=0,
            mfa_wanted=True,
            mfa_max_age=timedelta(seconds=3600),
            username="ada@contoso.example",
            locale="fr-FR",
            correlation="c",
        ),
        username=USERNAME,
        browser="b" * 64,
        created_at=START,
        expires_at=START + LIFETIME,
    )
    return replace(made, **changes)


AUTHENTICATION = VerifiedAuthentication(
    tenant="contoso",
    account="ada",
    method=Method.BLOKKEY_PUSH,
    user_verified=True,
    registered_kiosk=False,
    authenticated_at=START + timedelta(milliseconds=7),
)
PROOF = DeviceProof(
    context='{"a":"é"}',
    authenticator_data=bytes(37),
    client_data_json=b"{}",
    signature=b"\xff\x00",
    public_key=b"\x30",
    device="device-1",
)


async def test_a_transaction_comes_back_as_it_was_in_every_state(database: Database) -> None:
    store = TransactionRepository(database, CLOCK)
    started = a_transaction()
    await store.add(started)
    assert await store.get(started.id) == started
    waiting = await store.open_challenge(started.id, USERNAME, "ada", a_challenge(), [])
    assert waiting is not None
    assert waiting == await store.get(started.id)
    assert waiting.challenge == a_challenge()
    assert waiting.state is TransactionState.WAITING
    proved = await store.prove(started.id, "challenge-1", AUTHENTICATION, PROOF)
    assert proved is not None
    assert proved == await store.get(started.id)
    assert (proved.authentication, proved.proof) == (AUTHENTICATION, PROOF)
    issued = await store.issue(started.id, "_assertion", START)
    assert issued is not None
    assert issued == await store.get(started.id)
    assert replace(issued, state=TransactionState.PROVED, assertion_id=None) == proved


async def test_unknown_transaction_is_none_for_every_step(database: Database) -> None:
    store = TransactionRepository(database, CLOCK)
    assert await store.get("none") is None
    assert await store.open_challenge("none", USERNAME, "ada", a_challenge(), []) is None
    assert await store.end_challenge("none", "challenge-1", TransactionState.DENIED) is None
    assert await store.prove("none", "challenge-1", AUTHENTICATION, PROOF) is None
    assert await store.issue("none", "_a", START) is None
    assert await store.name_account("none", "x") is None
    assert await store.bind("none", "x") is None


async def test_a_hundred_issues_at_once_succeed_once(database: Database) -> None:
    store = TransactionRepository(database, CLOCK)
    await store.add(a_transaction())
    await store.open_challenge("transaction-1", USERNAME, "ada", a_challenge(), [])
    await store.prove("transaction-1", "challenge-1", AUTHENTICATION, PROOF)
    results = await asyncio.gather(*(store.issue("transaction-1", f"_{n}", START) for n in range(100)))
    (winner,) = (r for r in results if r is not None)
    kept = await store.get("transaction-1")
    assert kept is not None
    assert kept.assertion_id == winner.assertion_id


async def test_proof_of_a_replaced_challenge_proves_nothing(database: Database) -> None:
    store = TransactionRepository(database, CLOCK)
    await store.add(a_transaction())
    await store.open_challenge("transaction-1", USERNAME, "ada", a_challenge("one"), [])
    await store.open_challenge("transaction-1", USERNAME, "ada", a_challenge("two"), [])
    assert await store.prove("transaction-1", "one", AUTHENTICATION, PROOF) is None
    assert await store.end_challenge("transaction-1", "one", TransactionState.DENIED) is None
    assert await store.prove("transaction-1", "two", AUTHENTICATION, PROOF) is not None


@pytest.mark.parametrize("first", ["prove", "end"])
async def test_prove_and_end_at_once_one_of_them_counts(database: Database, first: str) -> None:
    """The one that counts is the one that is stored; the other one changes nothing."""
    store = TransactionRepository(database, CLOCK)
    for n in range(10):
        name = f"t{n}"
        await store.add(a_transaction(name))
        await store.open_challenge(name, USERNAME, "ada", a_challenge(), [])
        steps = {
            "prove": store.prove(name, "challenge-1", AUTHENTICATION, PROOF),
            "end": store.end_challenge(name, "challenge-1", TransactionState.NOT_ME),
        }
        order = sorted(steps, key=lambda step: step != first)
        ended = dict(zip(order, await asyncio.gather(*(steps[step] for step in order)), strict=True))
        (counts,) = (step for step, result in ended.items() if result is not None)
        kept = await store.get(name)
        assert kept is not None
        assert kept.state is {"prove": TransactionState.PROVED, "end": TransactionState.NOT_ME}[counts]
        assert (kept.authentication is not None) == (counts == "prove")


async def test_posted_transaction_is_bound_once(database: Database) -> None:
    store = TransactionRepository(database, CLOCK)
    await store.add(a_transaction(browser=""))
    results = await asyncio.gather(*(store.bind("transaction-1", f"{n:064d}") for n in range(20)))
    assert sum(result is not None for result in results) == 1
    assert await store.bind("transaction-1", "x" * 64) is None


# --- directory -------------------------------------------------------------------------------------------------


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


# --- keys ------------------------------------------------------------------------------------------------------


async def test_two_replicas_that_need_a_first_key_agree_on_one(database: Database, tmp_path: Path) -> None:
    make_key(tmp_path / "seal", SeededIds("seal"))
    signer = make_system(tmp_path).signer("wsfed")
    stores = [
        SigningKeyRepository(
            database, SealingKey.from_file(tmp_path / "seal", SeededIds(str(n))), CLOCK, signer
        )
        for n in range(4)
    ]
    if isinstance(database, MongoDatabase):
        await database.migrate()
    keys = await asyncio.gather(*(store.current("contoso") for store in stores))
    assert len({key.certificate for key in keys}) == 1
    assert (await stores[0].current("fabrikam")).certificate != keys[0].certificate


async def test_each_change_of_the_keys_is_announced_and_two_at_once_do_not_overwrite_each_other(
    database: Database, tmp_path: Path
) -> None:
    make_key(tmp_path / "seal", SeededIds("seal"))
    signer = make_system(tmp_path).signer("wsfed")
    one, other = (
        SigningKeyRepository(
            database, SealingKey.from_file(tmp_path / "seal", SeededIds(str(n))), CLOCK, signer
        )
        for n in range(2)
    )
    if isinstance(database, MongoDatabase):
        await database.migrate()
    first = await one.ring("contoso")
    assert sorted(await asyncio.gather(one.add_next("contoso"), other.add_next("contoso"))) == [False, True]
    upcoming = (await one.ring("contoso")).next
    assert await one.switch("contoso")
    assert not await other.switch("contoso")
    assert await other.drop_previous("contoso")
    await one.replace_all("contoso")
    last = await one.ring("contoso")
    waiting = await database.collection("signing_keys", outbox=True, state=True).stale_outbox(
        CLOCK.now() + timedelta(days=1), 10, skip=0
    )
    said = [KeysChanged.model_validate(json.loads(each.body)["body"]) for _, sent in waiting for each in sent]
    assert [each.version for each in said] == [1, 2, 3, 4, 5]
    assert upcoming is not None
    assert last.next is not None
    text = certificate_base64
    assert [(each.current, each.next, each.previous) for each in said] == [
        (text(first.current), None, None),
        (text(first.current), text(upcoming), None),
        (text(upcoming), None, text(first.current)),
        (text(upcoming), None, None),
        (text(last.current), text(last.next), None),
    ]


async def test_keys_from_before_they_were_announced_are_told_and_change(tmp_path: Path) -> None:
    database = MemoryDatabase(clock=CLOCK)
    make_key(tmp_path / "seal", SeededIds("seal"))
    sealing = SealingKey.from_file(tmp_path / "seal", SeededIds("nonce"))
    store = SigningKeyRepository(database, sealing, CLOCK, make_system(tmp_path).signer("wsfed"))
    await store.ring("contoso")
    (document,) = database.data["signing_keys"].values()
    del document["version"]
    (event,) = store.source.row(document).events
    assert isinstance(event, KeysChanged)
    assert event.version == 1
    assert await store.add_next("contoso")
    (document,) = database.data["signing_keys"].values()
    assert document["version"] == 2


async def test_unsealed_keys_are_held_of_so_many_tenants_and_the_log_says_which_one_went(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys_module, "MAX_HELD", 2)
    log = structlog.testing.CapturingLogger()
    monkeypatch.setattr(keys_module, "log", log)
    make_key(tmp_path / "seal", SeededIds("seal"))
    sealing = SealingKey.from_file(tmp_path / "seal", SeededIds("nonce"))
    store = SigningKeyRepository(
        MemoryDatabase(clock=CLOCK), sealing, CLOCK, make_system(tmp_path).signer("wsfed")
    )
    contoso = await store.current("contoso")
    await store.current("fabrikam")
    assert await store.current("contoso") is contoso
    await store.current("northwind")
    assert [(call.args, call.kwargs["tenant"]) for call in log.calls] == [(("keys.let_go",), "fabrikam")]
    assert await store.current("contoso") is contoso
    again = await store.current("contoso")
    assert again.certificate == contoso.certificate


async def test_no_private_key_is_readable_in_the_database(tmp_path: Path) -> None:
    database = MemoryDatabase(clock=CLOCK)
    make_key(tmp_path / "seal", SeededIds("seal"))
    sealing = SealingKey.from_file(tmp_path / "seal", SeededIds("nonce"))
    key = await SigningKeyRepository(database, sealing, CLOCK, make_system(tmp_path).signer("wsfed")).current(
        "contoso"
    )
    assert isinstance(key, RsaSigningKey)
    private = key.private_der()
    middle = private[len(private) // 2 :][:32]  # of the secret numbers; the public ones come first
    assert middle not in b"".join(octets(database.data["signing_keys"]))


def octets(value: Any) -> list[bytes]:
    """All octet strings in a document."""
    if isinstance(value, bytes):
        return [value]
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [found for each in inside for found in octets(each)]


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


async def test_what_is_held_is_read_again_after_four_seconds_or_when_told(database: Database) -> None:
    clock = ManualClock(START)
    ours, another = TransactionRepository(database, clock), TransactionRepository(database, clock)
    await ours.add(a_transaction())
    await another.open_challenge("transaction-1", USERNAME, "ada", a_challenge(), [])
    assert (await ours.recent("transaction-1")) == a_transaction()
    clock.advance(HELD_FOR)
    after = await ours.recent("transaction-1")
    assert after is not None
    assert after.state is TransactionState.WAITING
    await another.end_challenge("transaction-1", "challenge-1", TransactionState.DENIED)
    ours.forget("transaction-1")
    assert await ours.recent("transaction-1") == await another.get("transaction-1")


async def test_a_step_on_what_another_replica_has_changed_is_not_taken_and_read_anew(
    database: Database,
) -> None:
    ours, another = TransactionRepository(database, CLOCK), TransactionRepository(database, CLOCK)
    await ours.add(a_transaction())
    await another.name_account("transaction-1", "bob@contoso.example")
    assert await ours.open_challenge("transaction-1", USERNAME, "ada", a_challenge(), []) is None
    now = await ours.recent("transaction-1")
    assert now is not None
    assert (now.username, now.state) == ("bob@contoso.example", TransactionState.STARTED)


async def test_memory_stays_small_whatever_strangers_begin() -> None:
    clock = ManualClock(START)
    store = TransactionRepository(MemoryDatabase(clock=clock), clock)
    for n in range(HELD_AT_MOST + 100):
        await store.add(a_transaction(f"t{n}"))
    assert len(store._held) == HELD_AT_MOST
    clock.advance(HELD_FOR)
    await store.add(a_transaction("last"))
    assert list(store._held) == ["last"]
    assert not store._alone


async def test_a_browser_and_a_name_that_another_replica_took_are_seen_at_once(database: Database) -> None:
    ours, another = TransactionRepository(database, CLOCK), TransactionRepository(database, CLOCK)
    await ours.add(a_transaction(browser="", username=""))
    await another.bind("transaction-1", "b" * 64)
    bound = await ours.recent("transaction-1")
    assert bound is not None
    assert bound.browser == "b" * 64
    await another.name_account("transaction-1", USERNAME)
    named = await ours.recent("transaction-1")
    assert named is not None
    assert named.username == USERNAME


async def test_a_transaction_goes_soon_whatever_strangers_do_until_a_device_answers() -> None:
    clock = ManualClock(START)
    memory = MemoryDatabase(clock=clock)
    store = TransactionRepository(memory, clock)
    collection = memory.collection("transactions")

    async def kept(transaction: str) -> timedelta:
        found = await collection.find_one({"_id": transaction})
        assert found is not None
        remove_at: datetime = found["remove_at"]
        return remove_at - START

    soon, a_day = timedelta(minutes=20), timedelta(minutes=1, days=1)
    await store.add(a_transaction("untouched"))
    assert await kept("untouched") == soon
    clock.advance(60)
    for name in ("approved", "denied", "by-passkey"):
        await store.add(a_transaction(name, browser="", username=""))
        await store.bind(name, "b" * 64)
        await store.name_account(name, USERNAME)
        await store.open_challenge(name, USERNAME, "ada", a_challenge(), [])
        await store.end_challenge(name, a_challenge().id, TransactionState.SUPERSEDED)
        await store.open_challenge(name, USERNAME, "ada", a_challenge(), [])
        await store.ask_passkey(name, USERNAME, a_context("passkey-1"), 0)
        await store.spend_passkey(name, "passkey-1")
        assert await kept(name) == soon
    await store.prove("approved", a_challenge().id, AUTHENTICATION, PROOF)
    await store.end_challenge("denied", a_challenge().id, TransactionState.DENIED)
    await store.ask_passkey("by-passkey", USERNAME, a_context("passkey-2"), 0)
    await store.prove_by_passkey("by-passkey", "passkey-2", AUTHENTICATION, PROOF)
    assert {await kept(name) for name in ("approved", "denied", "by-passkey")} == {a_day}
