"""docs/flows/key-roll-over.md walked from end to end; Entra's stand-in notices each wrong order."""

from dataclasses import dataclass, field

import pytest
from lxml import etree

from deploy.standins.entra.errors import Code, EntraError
from deploy.standins.entra.settings import Directory, Federations, FederationSettings, User
from deploy.standins.entra.verify import ReplayMemory, SignedInUser, verify_response
from services.admin import handlers as admin
from services.wsfed import app as wsfed_app
from services.wsfed.domain.keys import certificate_base64, create_signing_key
from services.wsfed.handlers import key_rollover
from services.wsfed.ports import Dependencies
from services.wsfed.store import keys
from shared.contracts.wsfed import AdvanceKeys
from shared.errors import Conflict, NotFound
from tests.flows.support import ADA, DOMAIN, TENANT, Flow, Phone

HOUR = 3600


@dataclass
class Federated:
    """What an administrator has set in Entra for the domain."""

    flow: Flow
    current: bytes
    next: bytes | None = None
    replays: ReplayMemory = field(default_factory=ReplayMemory)

    async def sign_in(self, phone: Phone) -> SignedInUser:
        """A whole sign-in, verified with these certificates. Raises EntraError."""
        sign_in = await self.flow.begin(prompt="login")
        await phone.approve(await sign_in.push())
        form = await sign_in.take()
        configured = await admin.show_tenant(self.flow.admin, TENANT)
        settings = FederationSettings(
            domain=DOMAIN,
            tenant=TENANT,
            issuer_uri=configured.domains[0].issuer,
            passive_sign_in_uri=f"{self.flow.origin}/t/{TENANT}/wsfed",
            signing_certificate=certificate_base64(self.current),
            next_signing_certificate=None if self.next is None else certificate_base64(self.next),
            federated_idp_mfa_behavior="acceptIfMfaDoneByFederatedIdp",
        )
        account = await self.flow.account()
        return verify_response(
            form.fields,
            federations=Federations.of(settings),
            directory=Directory.of(User(immutable_id=account.immutable_id, upn=ADA, tenant=TENANT)),
            replays=self.replays,
            pending=sign_in.pending,
            now=self.flow.world.clock.now(),
        )


@pytest.fixture
def wsfed(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> Dependencies:
    """wsfed's handlers on the running service's database, as the command line has them."""
    monkeypatch.setattr(
        keys, "create_signing_key", create_signing_key
    )  # elsewhere a run makes each only once
    world = flow.world
    world.kept["wsfed"] = world.databases["wsfed"].data
    return wsfed_app.build(world.platform).dependencies


@pytest.fixture
async def phone(flow: Flow) -> Phone:
    return await flow.phone()


async def published(flow: Flow) -> list[str]:
    """The signing certificates in the metadata, in order, base64."""
    browser = await flow.browser()
    page = await browser.get(
        f"{flow.origin}/t/{TENANT}/{DOMAIN}/FederationMetadata/2007-06/FederationMetadata.xml"
    )
    root = etree.fromstring(page.text.encode())
    found = root.findall(".//{*}RoleDescriptor/{*}KeyDescriptor//{*}X509Certificate")
    return ["".join((element.text or "").split()) for element in found]


async def later(flow: Flow, hours: float) -> None:
    """Time passes; owners and followers go on telling each other that they live."""
    flow.world.clock.advance(hours * HOUR)
    await flow.world.current()


async def test_roll_over_from_end_to_end(flow: Flow, wsfed: Dependencies, phone: Phone) -> None:
    ring = await key_rollover.show_keys(wsfed, TENANT)
    entra = Federated(flow, current=ring.current)
    await entra.sign_in(phone)
    # 1: the next key is made and published; Entra is told; the old one still signs
    ring = await key_rollover.next_key(wsfed, TENANT)
    assert ring.next is not None
    assert await published(flow) == [certificate_base64(ring.current), certificate_base64(ring.next)]
    entra.next = ring.next
    await entra.sign_in(phone)
    await later(flow, 24)
    # 2: the next key signs
    old = ring.current
    ring = await key_rollover.switch_key(wsfed, TENANT)
    assert (ring.current, ring.previous, ring.next) == (entra.next, old, None)
    await later(flow, 0.01)
    await entra.sign_in(phone)
    # 3: Entra takes it as its current one; the old key is destroyed
    entra.current, entra.next = ring.current, None
    ring = await key_rollover.promote_key(wsfed, TENANT)
    assert ring.previous is None
    assert await published(flow) == [certificate_base64(ring.current)]
    await entra.sign_in(phone)
    stored = flow.world.documents("wsfed", "signing_keys")
    assert [list(document["keys"]) for document in stored] == [[document["current"] for document in stored]]


async def test_switch_before_entra_knows_the_next_certificate(
    flow: Flow, wsfed: Dependencies, phone: Phone
) -> None:
    entra = Federated(flow, current=(await key_rollover.show_keys(wsfed, TENANT)).current)
    ring = await key_rollover.next_key(wsfed, TENANT)
    await key_rollover.switch_key(wsfed, TENANT, at_once=True)
    await later(flow, 0.01)
    with pytest.raises(EntraError) as refused:
        await entra.sign_in(phone)
    assert refused.value.code is Code.KEY_NOT_REGISTERED
    # setting it in Entra heals at once
    entra.next = ring.next
    await entra.sign_in(phone)


async def test_entra_forgets_the_old_certificate_before_the_switch(
    flow: Flow, wsfed: Dependencies, phone: Phone
) -> None:
    ring = await key_rollover.next_key(wsfed, TENANT)
    assert ring.next is not None
    entra = Federated(flow, current=ring.next)
    with pytest.raises(EntraError) as refused:
        await entra.sign_in(phone)
    assert refused.value.code is Code.KEY_NOT_REGISTERED


async def test_steps_out_of_order_are_refused(flow: Flow, wsfed: Dependencies) -> None:
    with pytest.raises(Conflict, match="no next key"):
        await key_rollover.switch_key(wsfed, TENANT)
    with pytest.raises(Conflict, match="no previous key"):
        await key_rollover.promote_key(wsfed, TENANT)
    await key_rollover.next_key(wsfed, TENANT)
    with pytest.raises(Conflict, match="published for 0 hours only"):
        await key_rollover.switch_key(wsfed, TENANT)
    await later(flow, 24)
    await key_rollover.switch_key(wsfed, TENANT)
    await key_rollover.next_key(wsfed, TENANT)
    with pytest.raises(Conflict, match="roll-over isn't finished"):
        await key_rollover.switch_key(wsfed, TENANT, at_once=True)
    with pytest.raises(NotFound):
        await key_rollover.next_key(wsfed, "fabrikam")


async def test_the_console_rolls_over_by_commands_of_admins(
    flow: Flow, wsfed: Dependencies, phone: Phone
) -> None:
    entra = Federated(flow, current=(await key_rollover.show_keys(wsfed, TENANT)).current)
    await flow.say("admin", AdvanceKeys(step="next", version=1))
    ring = await key_rollover.show_keys(wsfed, TENANT)
    assert ring.next is not None
    entra.next = ring.next
    # before its time, unless it is said that Entra has it
    await flow.say("admin", AdvanceKeys(step="switch", version=2))
    assert (await key_rollover.show_keys(wsfed, TENANT)).version == 2
    await flow.say("admin", AdvanceKeys(step="switch", version=2, at_once=True))
    ring = await key_rollover.show_keys(wsfed, TENANT)
    assert (ring.current, ring.version) == (entra.next, 3)
    await later(flow, 0.01)
    await entra.sign_in(phone)
    entra.current, entra.next = ring.current, None
    await flow.say("admin", AdvanceKeys(step="promote", version=3))
    assert (await key_rollover.show_keys(wsfed, TENANT)).previous is None
    await entra.sign_in(phone)
    certificates = await flow.admin.certificates.of(TENANT)
    assert certificates is not None
    assert (certificates.version, certificates.next, certificates.previous) == (4, None, None)


async def test_a_command_twice_late_out_of_order_or_of_another_tenant_changes_nothing(
    flow: Flow, wsfed: Dependencies
) -> None:
    first = flow.world.signer("admin").sign(AdvanceKeys(step="next", version=1), tenant=TENANT)
    for _ in range(3):
        await flow.publish(first)
    made = await key_rollover.show_keys(wsfed, TENANT)
    assert made.version == 2
    for command in (
        AdvanceKeys(step="next", version=1),
        AdvanceKeys(step="next", version=3),
        AdvanceKeys(step="promote", version=2),
        AdvanceKeys(step="switch", version=1, at_once=True),
    ):
        await flow.say("admin", command)
        assert await key_rollover.show_keys(wsfed, TENANT) == made, command
    await flow.say("admin", AdvanceKeys(step="switch", version=2, at_once=True), tenant="fabrikam")
    assert await key_rollover.show_keys(wsfed, TENANT) == made
    assert flow.reasons() == ["rejected: no such tenant"]


@pytest.mark.parametrize("service", ["approval", "notify", "provisioning"])
async def test_nobody_but_admin_rolls_keys_over(flow: Flow, wsfed: Dependencies, service: str) -> None:
    before = await key_rollover.show_keys(wsfed, TENANT)
    command = AdvanceKeys(step="next", version=1)
    await flow.publish(flow.sign(command, sender=service, key_of=service))
    await flow.publish(flow.sign(command, sender="admin", key_of=service))
    assert await key_rollover.show_keys(wsfed, TENANT) == before


async def test_next_twice_makes_one_key(flow: Flow, wsfed: Dependencies) -> None:
    assert (await key_rollover.next_key(wsfed, TENANT)).next == (
        await key_rollover.next_key(wsfed, TENANT)
    ).next


async def test_emergency_rolls_twice(flow: Flow, wsfed: Dependencies, phone: Phone) -> None:
    stolen = (await key_rollover.show_keys(wsfed, TENANT)).current
    entra = Federated(flow, current=stolen)
    ring = await key_rollover.emergency_keys(wsfed, TENANT)
    assert stolen not in (ring.current, ring.next, ring.previous)
    await later(flow, 0.01)
    with pytest.raises(EntraError):
        await entra.sign_in(phone)  # nobody signs in until Entra has both
    assert ring.next is not None
    entra.current, entra.next = ring.current, ring.next
    await entra.sign_in(phone)
    # once more, so that Entra does not remember the stolen one as the one before
    ring = await key_rollover.switch_key(wsfed, TENANT, at_once=True)
    await later(flow, 0.01)
    entra.current, entra.next = ring.current, None
    await entra.sign_in(phone)
    assert (await key_rollover.promote_key(wsfed, TENANT)).previous is None
