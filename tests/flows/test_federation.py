"""docs/flows/federation.md, with its numbers: a domain of the tenant from managed to the first sign-in, and back."""

from dataclasses import dataclass, field

import pytest

from deploy.standins.entra.domains import Outcome, ScriptedDomains, run_script
from deploy.standins.entra.errors import Code, EntraError
from deploy.standins.entra.powershell import read_script
from deploy.standins.entra.settings import Directory, Federations, ManagedDomain, User
from deploy.standins.entra.verify import ReplayMemory, SignedInUser, verify_response
from services.admin import handlers as admin
from services.admin.domain.federation import FirstUse
from services.admin.domain.federation_scripts import back_out_script, federation_script
from services.admin.domain.powershell import script_octets
from services.wsfed import app as wsfed_app
from services.wsfed.domain.keys import create_signing_key
from services.wsfed.handlers import key_rollover
from services.wsfed.store import keys
from tests.flows.support import TENANT, Flow, Phone

LABS = "labs.example"
EVE = "eve@labs.example"


@dataclass
class Entra:
    """The tenant's directory, which knows of the domain only what scripts told it."""

    flow: Flow
    scripted: ScriptedDomains = field(default_factory=lambda: ScriptedDomains(None))
    replays: ReplayMemory = field(default_factory=ReplayMemory)

    @property
    def federations(self) -> Federations:
        return self.scripted.onto(Federations.of(managed=[ManagedDomain(domain=LABS, tenant=TENANT)]))

    async def run(self, *, back_out: bool = False) -> Outcome:
        """Steps 3 to 5, or 7: the script as it is made now, run in this directory."""
        federation = await admin.federation(self.flow.admin, TENANT, LABS)
        made = back_out_script(federation) if back_out else federation_script(federation)
        outcome = run_script(read_script(script_octets(made)), self.federations)
        if outcome.changed:
            self.scripted.keep(outcome.domain, outcome.federation)
        return outcome

    async def sign_in(self, phone: Phone) -> SignedInUser:
        """Step 6: where this directory sends the browser, and whether it believes the answer. Raises EntraError."""
        sign_in = await self.flow.begin(EVE, prompt="login")
        await phone.approve(await sign_in.push())
        form = await sign_in.take()
        account = await self.flow.account(EVE)
        return verify_response(
            form.fields,
            federations=self.federations,
            directory=Directory.of(User(immutable_id=account.immutable_id, upn=EVE, tenant=TENANT)),
            replays=self.replays,
            pending=sign_in.pending,
            now=self.flow.world.clock.now(),
        )


@pytest.fixture
async def entra(flow: Flow) -> Entra:
    """Step 1: the domain is added here, and managed there."""
    await admin.add_domain(flow.admin, TENANT, LABS)
    await flow.world.settle()
    await flow.person(EVE)
    return Entra(flow)


async def test_2_to_7_from_managed_to_the_first_sign_in_and_back(flow: Flow, entra: Entra) -> None:
    ready = await admin.readiness(flow.admin, TENANT, LABS)
    assert (ready.people, ready.upns) == (1, (EVE,))
    phone = await flow.phone(EVE)
    assert (await admin.readiness(flow.admin, TENANT, LABS)).is_ready
    with pytest.raises(EntraError) as refused:
        await entra.sign_in(phone)
    assert refused.value.code is Code.ISSUER_UNKNOWN
    assert (await entra.run()).reason == "run_federated"
    assert (await entra.run()).reason == "run_same"
    federated = entra.federations.by_domain[LABS]
    assert federated.passive_sign_in_uri == f"{flow.origin}/t/{TENANT}/wsfed"
    user = await entra.sign_in(phone)
    assert (user.upn, user.issuer) == (EVE, f"{flow.origin}/t/{TENANT}/{LABS}")
    assert (await entra.run(back_out=True)).reason == "run_managed"
    with pytest.raises(EntraError) as refused:
        await entra.sign_in(phone)
    assert refused.value.code is Code.ISSUER_UNKNOWN


async def test_6_the_first_request_and_the_first_sign_in_are_seen(flow: Flow, entra: Entra) -> None:
    async def seen() -> FirstUse | None:
        wsfed = flow.world.services["wsfed"]
        for write_down in wsfed.on_stop:  # what its background does every few seconds
            await write_down()
        await wsfed.relay.flush()
        await flow.world.settle()
        return await admin.first_use(flow.admin, TENANT, LABS)

    phone = await flow.phone(EVE)
    await entra.run()
    await flow.begin("ada@contoso.example")
    await flow.begin("nobody@elsewhere.example")
    assert await seen() is None
    asked_at = flow.world.clock.now()
    await flow.begin("nobody@emea.labs.example")
    assert await seen() == FirstUse(first_request_at=asked_at)
    flow.world.clock.advance(60)
    signed_in_at = flow.world.clock.now()
    await entra.sign_in(phone)
    known = FirstUse(first_request_at=asked_at, first_sign_in_at=signed_in_at)
    assert await seen() == known
    flow.world.clock.advance(60)
    await entra.sign_in(phone)
    assert await seen() == known
    assert len(flow.sent("wsfed.domain.used.v1")) == 3, "of contoso.example one, of labs.example two"


async def test_the_script_made_anew_tells_entra_each_step_of_a_roll_over(
    flow: Flow, entra: Entra, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "create_signing_key", create_signing_key)  # elsewhere each is made only once
    world = flow.world
    world.kept["wsfed"] = world.databases["wsfed"].data
    wired = wsfed_app.build(world.platform)
    phone = await flow.phone(EVE)
    await entra.run()

    async def told() -> None:
        await wired.service.relay.flush()
        await world.settle()
        world.clock.advance(10)  # each replica holds its key for seconds
        assert (await entra.run()).exit_code == 0

    ring = await key_rollover.next_key(wired.dependencies, TENANT)
    await told()
    assert entra.federations.by_domain[LABS].next_signing_certificate is not None
    await key_rollover.switch_key(wired.dependencies, TENANT, at_once=True)
    await told()
    assert ring.next is not None
    assert (await entra.sign_in(phone)).key == "current"
    await key_rollover.promote_key(wired.dependencies, TENANT)
    await told()
    registered = entra.federations.by_domain[LABS].registered_keys()
    assert list(registered) == [ring.next], "the key that is gone here is gone there"


async def test_a_removed_phone_makes_its_person_unready_again(flow: Flow, entra: Entra) -> None:
    await flow.phone(EVE)
    await admin.remove_device(flow.admin, TENANT, EVE, None)
    assert (await admin.readiness(flow.admin, TENANT, LABS)).upns == (EVE,)
