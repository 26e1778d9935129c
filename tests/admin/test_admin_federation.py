"""What Entra is told of a domain, and who of it would be locked out (docs/flows/federation.md)."""

import asyncio
from datetime import timedelta

import pytest

from deploy.cli.operate import index_words
from services.admin import handlers
from services.admin.domain.accounts import Account
from services.admin.domain.authenticators import Authenticator, Reason
from services.admin.store.directory import HOLDS, HOSTS, WRITERS, WRITES
from shared.contracts.admin import AuthenticatorStatus
from shared.contracts.wsfed import KeysChanged
from shared.errors import NotFound, Unavailable
from tests.admin.conftest import CONTOSO, FABRIKAM, AdminSystem

CERTIFICATE, UPCOMING = "MIIDCjCCAfKgAwIBAgIUTE9OR0VS", "MIIDCjCCAfKgAwIBAgIUTkVYVA=="
DOMAIN = "contoso.example"


async def announce(system: AdminSystem, tenant: str = CONTOSO, version: int = 1, **changes: object) -> None:
    """wsfed says which certificates the tenant has."""
    message = KeysChanged.model_validate({"version": version, "current": CERTIFICATE, **changes})
    await system.world.bus.publish([system.world.signer("wsfed").sign(message, tenant=tenant)])
    await system.world.settle()


async def holder(system: AdminSystem, account: Account, number: int = 0, **changes: object) -> Authenticator:
    """The account has a phone that counts, unless a change says otherwise."""
    phone = Authenticator(
        id=f"{account.id[:8]}-{number}",
        tenant=account.tenant,
        account=account.id,
        invitation="i",
        status=AuthenticatorStatus.TRUSTED,
        decided_at=system.deps.clock.now(),
        **changes,  # type: ignore[arg-type]
    )
    assert await system.deps.authenticators.add(phone)
    return phone


async def without(system: AdminSystem, domain: str = DOMAIN) -> tuple[int, list[str]]:
    """How many people the domain has, and who of them has nothing; as many as the count says."""
    found = page = await handlers.readiness(system.deps, CONTOSO, domain)
    names = list(page.upns)
    while page.cursor is not None:
        page = await handlers.readiness(system.deps, CONTOSO, domain, cursor=page.cursor)
        names += page.upns
    assert found.without == len(names)
    return found.people, names


# --- what Entra is told -----------------------------------------------------------------------------------------


async def test_entra_is_told_the_certificates_that_the_sign_in_service_announced(stored: AdminSystem) -> None:
    await announce(stored, next=UPCOMING)
    told = await handlers.federation(stored.deps, CONTOSO, "Contoso.Example")
    assert (told.signing_certificate, told.next_signing_certificate) == (CERTIFICATE, UPCOMING)
    assert told.issuer_uri == f"{stored.deps.origin}/t/contoso/contoso.example"
    await announce(stored, version=2, current=UPCOMING)
    await announce(stored, version=1, next=UPCOMING)  # late
    told = await handlers.federation(stored.deps, CONTOSO, DOMAIN)
    assert (told.signing_certificate, told.next_signing_certificate) == (UPCOMING, None)


async def test_there_is_no_script_before_the_certificate_is_known(system: AdminSystem) -> None:
    await announce(system, FABRIKAM)
    with pytest.raises(Unavailable) as refused:
        await handlers.federation(system.deps, CONTOSO, DOMAIN)
    assert refused.value.id == "admin.domain.no_certificate"


@pytest.mark.parametrize("domain", ["fabrikam.example", "emea.contoso.example"])
async def test_only_a_domain_of_the_tenant_has_a_federation(system: AdminSystem, domain: str) -> None:
    await announce(system)
    with pytest.raises(NotFound):
        await handlers.federation(system.deps, CONTOSO, domain)
    with pytest.raises(NotFound):
        await handlers.readiness(system.deps, CONTOSO, domain)
    with pytest.raises(NotFound):
        await handlers.federation(system.deps, CONTOSO, "'; x")


# --- who would be locked out ------------------------------------------------------------------------------------


async def test_who_has_no_authenticator_that_counts_is_named(stored: AdminSystem) -> None:
    names = ("ada", "bob", "cy", "dee", "eve")
    ada, bob, cy, dee, _ = [await stored.account(name) for name in names]
    now = stored.deps.clock.now()
    await holder(stored, ada)
    revoked = (await holder(stored, bob)).revoked(Reason.ADMINISTRATOR, now)
    await stored.deps.authenticators.change(CONTOSO, f"{bob.id[:8]}-0", lambda _: revoked)
    await holder(stored, cy, not_after=now)
    await holder(stored, dee, not_after=now + timedelta(seconds=1))
    await holder(stored, dee, 1)
    assert await without(stored) == (5, [f"{name}@contoso.example" for name in ("bob", "cy", "eve")])


async def test_whoever_is_kept_out_or_gone_is_not_counted(system: AdminSystem) -> None:
    await system.account("ada")
    for name, step in (("bob", handlers.suspend), ("cy", handlers.remove)):
        account = await system.account(name)
        await step(system.deps, CONTOSO, account.id)
    await system.account("fay", FABRIKAM)
    assert await without(system) == (1, ["ada@contoso.example"])


async def test_a_sub_domain_follows_its_root_until_it_is_a_domain_of_its_own(system: AdminSystem) -> None:
    new = handlers.NewAccount("eve@emea.contoso.example", "Eve", "Ng", "eve@home.example")
    await handlers.create_account(system.deps, CONTOSO, new)
    assert await without(system) == (1, ["eve@emea.contoso.example"])
    await handlers.add_domain(system.deps, CONTOSO, "emea.contoso.example")
    assert await without(system) == (0, [])
    assert await without(system, "emea.contoso.example") == (1, ["eve@emea.contoso.example"])


@pytest.mark.long
async def test_everybody_is_looked_at_however_many_there_are(system: AdminSystem) -> None:
    new = (
        handlers.NewAccount(f"p{n:04}@contoso.example", "P", str(n), f"p{n}@home.example") for n in range(450)
    )
    await handlers.create_accounts(system.deps, CONTOSO, new)
    page = await handlers.list_accounts(system.deps, CONTOSO, limit=200)
    for account in page.accounts[:150]:
        for number in range(2):  # more authenticators than are read at once
            await holder(system, account, number)
    people, names = await without(system)
    assert (people, len(names), names[0]) == (450, 300, "p0150@contoso.example")


async def _without_marks(system: AdminSystem, account: Account) -> None:
    """The account as a release left it that did not keep who has an authenticator."""
    fields = (HOLDS, HOSTS, WRITERS, WRITES)
    collection = system.database.collection("accounts", outbox=True, state=True)
    await collection.update({"_id": account.id}, {"$unset": dict.fromkeys(fields, "")})


async def test_accounts_from_before_are_counted_after_migrate_and_no_number_is_said_until_then(
    stored: AdminSystem,
) -> None:
    ada, bob = await stored.account("ada"), await stored.account("bob")
    await holder(stored, ada)
    for account in (ada, bob):
        await _without_marks(stored, account)
    with pytest.raises(Unavailable):
        await without(stored)
    assert await index_words(stored.deps) == 2
    assert await without(stored) == (2, [bob.upn])
    documents = await stored.database.collection("accounts", outbox=True, state=True).find(
        {"tenant": CONTOSO}
    )
    assert {each["_id"]: each["holds"] for each in documents} == {ada.id: True, bob.id: False}


async def test_a_write_that_was_killed_half_way_leaves_a_number_that_is_right(stored: AdminSystem) -> None:
    """The process ends after the phone was revoked and before that is kept with the account."""
    ada = await stored.account("ada")
    phone = await holder(stored, ada)
    assert await without(stored) == (1, [])
    accounts = stored.database.collection("accounts", outbox=True, state=True)
    await accounts.update({"_id": ada.id}, {"$inc": {WRITERS: 1, WRITES: 1}, "$unset": {HOLDS: ""}})
    revoked = phone.revoked(Reason.ADMINISTRATOR, stored.deps.clock.now())
    await stored.deps.authenticators.change(CONTOSO, phone.id, lambda _: revoked)
    assert await without(stored) == (1, [ada.upn])
    await holder(stored, ada, 1)
    assert await without(stored) == (1, [])
    await index_words(stored.deps)
    await stored.deps.authenticators.change(
        CONTOSO, f"{ada.id[:8]}-1", lambda before: before.revoked(Reason.PERSON, stored.deps.clock.now())
    )
    assert await without(stored) == (1, [ada.upn])


async def test_the_number_is_right_however_many_write_at_once(stored: AdminSystem) -> None:
    ada = await stored.account("ada")
    for _ in range(5):
        phones = await asyncio.gather(*(holder(stored, ada, number) for number in range(4)))
        assert await without(stored) == (1, [])
        await asyncio.gather(
            *(
                stored.deps.authenticators.change(
                    CONTOSO, phone.id, lambda before: before.revoked(Reason.PERSON, stored.deps.clock.now())
                )
                for phone in phones
            )
        )
        assert await without(stored) == (1, [ada.upn])
        for phone in phones:
            await stored.database.collection("authenticators", outbox=True, state=True).delete(
                {"_id": f"{CONTOSO}/{phone.id}"}
            )
