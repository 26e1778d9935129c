"""docs/flows/enrolment.md, attacked: keys that nobody invited.

After each attack the forged key is not trusted and gives no token, whatever approval is made to say with it.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from deploy.standins.phone.authenticator import Key, make_private_key
from services.wsfed.domain.context import SignInContext
from shared.contracts.admin import InvitationChanged
from shared.contracts.approval import ChallengeAccepted, DeviceChanged, Endorsement
from shared.crypto.enrolment import NewDeviceKey, endorse
from shared.crypto.keys import key_from_seed, raw_public
from shared.ids import SeededIds, b64u, unb64u
from tests.flows.support import ADA, BOB, TENANT, Flow, SignIn, proof_of, said_active_again

FABRIKAM = "fabrikam"


@dataclass(frozen=True)
class Link:
    """An invitation's id and its secret, as in the fragment."""

    id: str
    seed: bytes

    @classmethod
    def of(cls, url: str) -> "Link":
        invitation, _, seed = url.partition("#i=")[2].partition(".")
        return cls(invitation, unb64u(seed))


class Thief:
    """Has a key of their own and wants it to count as Ada's."""

    def __init__(self, flow: Flow, account: str) -> None:
        self.flow = flow
        self.key = Key(
            credential_id=b64u(flow.world.ids.random_bytes(32)),
            private_key=make_private_key("ES256", SeededIds("thief")),
            origin=flow.phone_origin,
            rp_id="id.localhost",
            tenant=TENANT,
            account=account,
            upn=ADA,
            device="thiefs-device",
        )

    def endorsed_by(self, link: Link, *, tenant: str = TENANT, account: str | None = None) -> Endorsement:
        """A genuine endorsement of the thief's key by that invitation, for whatever tenant and account."""
        new = NewDeviceKey(
            tenant, account or self.key.account, link.id, self.key.credential_id, self.key.spki
        )
        return Endorsement(
            kind="invitation", by=link.id, signature=b64u(endorse(key_from_seed(link.seed), new))
        )

    def enrolled(self, endorsement: Endorsement, *, at: datetime | None = None) -> DeviceChanged:
        """The message that would make the key trusted."""
        return DeviceChanged(
            version=1,
            device=self.key.device,
            account=self.key.account,
            credential_id=self.key.credential_id,
            public_key=b64u(self.key.spki),
            endorsement=endorsement,
            enrolled_at=at or self.flow.world.clock.now(),
            status="active",
        )

    async def assert_worth_nothing(self) -> None:
        """A taken-over approval says, with the thief's perfect assertion, that Ada approved: no token."""
        flow = self.flow
        await self._retries_end()
        sign_in = await flow.begin()
        await sign_in.push()
        await flow.say("approval", self._approved(sign_in))
        assert sign_in.stored["state"] == "waiting"
        assert "wresult" not in (await sign_in.token()).text
        assert flow.issuances() == []
        assert not await flow.counts(self.key)

    def _approved(self, sign_in: SignIn) -> ChallengeAccepted:
        challenge = sign_in.stored["challenge"]
        stored = challenge["context"]
        context = SignInContext(**stored).with_code(challenge["code"])
        return ChallengeAccepted(
            challenge=stored["challenge"],
            transaction=sign_in.id,
            account=self.key.account,
            device=self.key.device,
            proof=proof_of(self.key, context),
        )

    async def _retries_end(self) -> None:
        """Whatever waits to be tried again has been, more than once."""
        for seconds in (1, 10, 60, 60):
            self.flow.world.clock.advance(seconds)
            await self.flow.world.settle()


@pytest.fixture
async def thief(flow: Flow) -> Thief:
    return Thief(flow, (await flow.account()).id)


async def test_control_the_invited_key_is_trusted_by_this_very_message(flow: Flow, thief: Thief) -> None:
    """What the attacks below lack: the link. Otherwise they would prove nothing."""
    link = Link.of(await flow.invite())
    await flow.say("approval", thief.enrolled(thief.endorsed_by(link)))
    (device,) = flow.world.documents("wsfed", "devices")
    assert device["public_key"] == thief.key.spki
    sign_in = await flow.begin()
    await sign_in.push()
    await flow.say("approval", thief._approved(sign_in))
    await sign_in.take()


# --- forged message "device enrolled" --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sender", "key_of"),
    [
        ("approval", None),
        ("approval", "admin"),
        ("approval", "wsfed"),
        ("admin", "admin"),
        ("wsfed", "wsfed"),
    ],
)
async def test_forged_device_enrolled_by_a_bus_writer(
    flow: Flow, thief: Thief, sender: str, key_of: str | None
) -> None:
    """Even somebody who read the invitation mail must go through approval, which the person is told of."""
    link = Link.of(await flow.invite())
    message = thief.enrolled(thief.endorsed_by(link))
    await flow.publish(flow.sign(message, sender=sender, key_of=key_of))
    assert flow.reasons()
    await thief.assert_worth_nothing()


@pytest.mark.parametrize("signature", ["", "AA", "é", b64u(bytes(64)), b64u(bytes(6400))])
async def test_forged_device_enrolled_by_taken_over_approval_without_endorsement(
    flow: Flow, thief: Thief, signature: str
) -> None:
    link = Link.of(await flow.invite())
    message = thief.enrolled(Endorsement.model_construct(kind="invitation", by=link.id, signature=signature))
    await flow.say("approval", message)
    assert flow.reasons()
    await thief.assert_worth_nothing()


async def test_taken_over_approval_endorses_with_a_key_of_its_own(flow: Flow, thief: Thief) -> None:
    link = Link.of(await flow.invite())
    await flow.say("approval", thief.enrolled(thief.endorsed_by(Link(link.id, bytes(32)))))
    assert flow.reasons()
    await thief.assert_worth_nothing()


async def test_taken_over_approval_invents_the_invitation(flow: Flow, thief: Thief) -> None:
    """admin's event, signed by approval: refused. The device then waits for an invitation that never comes."""
    link = Link("invented", bytes(32))
    now = flow.world.clock.now()
    invitation = InvitationChanged(
        version=1,
        invitation=link.id,
        account=thief.key.account,
        public_key=b64u(raw_public(key_from_seed(link.seed))),
        issued_at=now,
        expires_at=now + timedelta(hours=24),
        status="open",
    )
    for sender in ("admin", "approval"):
        await flow.publish(flow.sign(invitation, sender=sender, key_of="approval"))
    assert len(flow.reasons()) == 2
    await flow.say("approval", thief.enrolled(thief.endorsed_by(link)))
    await thief.assert_worth_nothing()


async def test_endorsement_by_another_accounts_invitation(flow: Flow, thief: Thief) -> None:
    """Bob was invited and is an attacker: his link vouches for his account only."""
    bob = await flow.person(BOB)
    link = Link.of(await flow.invite(BOB))
    await flow.say("approval", thief.enrolled(thief.endorsed_by(link)))
    await flow.say("approval", thief.enrolled(thief.endorsed_by(link, account=bob.id)))
    assert len(flow.reasons()) == 2
    await thief.assert_worth_nothing()


async def test_endorsement_by_another_invitation_of_the_same_account(flow: Flow, thief: Thief) -> None:
    """The older link, withdrawn by the newer one; its signature under the newer one's name."""
    old = Link.of(await flow.invite())
    new = Link.of(await flow.invite())
    renamed = thief.endorsed_by(old).model_copy(update={"by": new.id})
    await flow.say("approval", thief.enrolled(renamed))
    await flow.say("approval", thief.enrolled(thief.endorsed_by(Link(new.id, old.seed))))
    for service in ("wsfed", "admin"):
        assert len(flow.reasons(service)) == 2
    await flow.say("approval", thief.enrolled(thief.endorsed_by(old)))
    assert await flow.decision(thief.key.device) == ("refused", "withdrawn")
    await thief.assert_worth_nothing()


async def test_endorsement_by_another_tenants_invitation(flow: Flow, thief: Thief) -> None:
    await flow.tenant(FABRIKAM, "fabrikam.example")
    stranger = await flow.person("ada@fabrikam.example", FABRIKAM)
    link = Link.of(await flow.invite("ada@fabrikam.example", FABRIKAM))
    await flow.say("approval", thief.enrolled(thief.endorsed_by(link)))  # unknown in contoso
    await flow.say(
        "approval", thief.enrolled(thief.endorsed_by(link)), FABRIKAM
    )  # Ada's account, their tenant
    crossed = thief.endorsed_by(link, tenant=FABRIKAM, account=stranger.id)
    await flow.say("approval", thief.enrolled(crossed))
    await flow.say("approval", thief.enrolled(crossed), FABRIKAM)
    await thief.assert_worth_nothing()


async def test_endorsement_of_another_key(flow: Flow, thief: Thief) -> None:
    """Ada's genuine endorsement beside the thief's key, credential or account."""
    phone = await flow.bare_phone()
    await phone.enrol(await flow.invite())
    (account,) = flow.world.documents("approval", "accounts")
    (device,) = account["devices"].values()
    genuine = Endorsement(kind="invitation", by=device["invitation"], signature=device["endorsement"])
    honest = thief.enrolled(genuine)
    await flow.say("approval", honest)
    await flow.say("approval", honest.model_copy(update={"credential_id": phone.key.credential_id}))
    await flow.say("approval", honest.model_copy(update={"device": phone.key.device, "version": 9}))
    assert len(flow.reasons()) == 3
    await thief.assert_worth_nothing()


async def test_withdrawn_invitation(flow: Flow, thief: Thief) -> None:
    link = Link.of(await flow.invite())
    await flow.invite()  # a new one withdraws the old
    await flow.say("approval", thief.enrolled(thief.endorsed_by(link)))
    assert await flow.decision(thief.key.device) == ("refused", "withdrawn")
    await thief.assert_worth_nothing()


@pytest.mark.parametrize("again", ["at once", "twice", "as a claim"])
async def test_invitation_withdrawn_while_its_device_was_under_way_to_admin(
    flow: Flow, thief: Thief, again: str
) -> None:
    """wsfed hears of the device before the withdrawal, admin after it. Whoever comes first, admin alone decides."""
    link = Link.of(await flow.invite())
    enrolled = thief.enrolled(thief.endorsed_by(link))
    flow.world.bus.forget("admin")
    await flow.say("approval", enrolled)
    (device,) = flow.world.documents("wsfed", "devices")
    assert not device["removed"]
    await thief.assert_worth_nothing()  # the chain holds, and admin has not decided
    await flow.world.bus.consume("admin", flow.world.services["admin"].handlers)
    await flow.invite()
    if again != "at once":
        await flow.say("approval", enrolled)
        await flow.say("approval", enrolled.model_copy(update={"version": 2}))
    if again == "as a claim":
        await flow.say("approval", enrolled.model_copy(update={"version": 3, "device": "claim"}))
    await thief.assert_worth_nothing()


@pytest.mark.parametrize("dated_back", [False, True])
async def test_expired_invitation(flow: Flow, thief: Thief, dated_back: bool) -> None:
    """An old mail is found; approval, taken over, says that the phone was enrolled in time."""
    link = Link.of(await flow.invite())
    in_time = flow.world.clock.now()
    flow.world.clock.advance(timedelta(hours=25).total_seconds())
    said = thief.enrolled(thief.endorsed_by(link), at=in_time if dated_back else None)
    for _ in range(2):
        await flow.say("approval", said)
        assert await flow.decision(thief.key.device) == ("refused", "expired")
        await thief.assert_worth_nothing()


async def test_invitation_used_before_its_issue(flow: Flow, thief: Thief) -> None:
    """When a device was made, approval says as it likes: it neither helps nor harms. Admin's own clock decides."""
    link = Link.of(await flow.invite())
    long_ago = flow.world.clock.now() - timedelta(days=1)
    await flow.invite()  # it was withdrawn, and approval says that the phone is older than that
    await flow.say("approval", thief.enrolled(thief.endorsed_by(link), at=long_ago))
    assert await flow.decision(thief.key.device) == ("refused", "withdrawn")
    await thief.assert_worth_nothing()


async def test_second_device_on_one_invitation(flow: Flow, thief: Thief) -> None:
    """Who reads the mail after Ada enrolled comes too late, even with approval in their hands."""
    url = await flow.invite()
    phone = await flow.bare_phone()
    await phone.enrol(url)
    await flow.say("approval", thief.enrolled(thief.endorsed_by(Link.of(url))))
    assert await flow.decision(thief.key.device) == ("refused", "used")
    await thief.assert_worth_nothing()
    # in the place of Ada's, under her device's id and with a higher version
    takes_place = thief.enrolled(thief.endorsed_by(Link.of(url))).model_copy(
        update={"device": phone.key.device, "version": 99}
    )
    before = len(flow.reasons())
    await flow.say("approval", takes_place)
    assert len(flow.reasons()) == before + 1
    thief.key = replace(thief.key, device=phone.key.device)
    await thief.assert_worth_nothing()


@pytest.mark.parametrize("then", ["nothing", "withdrawn"])
async def test_device_of_another_account_taken_over_by_an_invited_attacker(
    flow: Flow, thief: Thief, then: str
) -> None:
    """Bob has a link of his own; approval, taken over, enrols his key under the id of Ada's phone. It must not go
    either when his invitation is withdrawn.
    """
    ada = await flow.phone()
    bob = await flow.person(BOB)
    link = Link.of(await flow.invite(BOB))
    thief.key = replace(thief.key, account=bob.id, device=ada.key.device)
    takes_place = thief.enrolled(thief.endorsed_by(link)).model_copy(update={"version": 99})
    await flow.say("approval", takes_place)
    assert flow.reasons()
    if then == "withdrawn":
        await (
            flow.world.databases["admin"]
            .collection("invitations", state=True)
            .update(
                {"_id": link.id},
                {"$set": {"status": "open"}},  # admin had not heard of his phone
            )
        )
        await flow.invite(BOB)
        await flow.say("approval", takes_place)
    await thief.assert_worth_nothing()
    flow.world.clock.advance(120)
    sign_in = await flow.begin()
    await ada.approve(await sign_in.push())
    await sign_in.take()


async def test_removal_needs_no_chain(flow: Flow) -> None:
    """Whatever key the message names: taking a phone out of use must always work."""
    phone = await flow.phone()
    (account,) = flow.world.documents("approval", "accounts")
    device = account["devices"][phone.key.device]
    await flow.say(
        "approval",
        DeviceChanged(
            version=device["version"] + 1,
            device=phone.key.device,
            account=phone.key.account,
            credential_id=phone.key.credential_id,
            public_key="AA",
            endorsement=Endorsement(kind="invitation", by="gone", signature=""),
            enrolled_at=device["enrolled_at"],
            status="removed",
        ),
    )
    sign_in = await flow.begin()
    await phone.approve(await sign_in.push())
    assert flow.reasons()
    assert sign_in.stored["state"] == "waiting"


async def test_reactivation_of_a_removed_device(flow: Flow) -> None:
    """The genuine event of the enrolment, recorded and said again with a higher version."""
    lost, kept = await flow.phone(), await flow.phone()
    await kept.remove_device(lost.key.device)
    again = said_active_again(flow, lost)
    await flow.say("approval", again)
    thief = Thief(flow, lost.key.account)
    thief.key = lost.key
    await thief.assert_worth_nothing()
    # under another device's name: the key has its tombstone
    await flow.say("approval", again.model_copy(update={"device": "another-name", "version": 1}))
    thief.key = replace(lost.key, device="another-name")
    await thief.assert_worth_nothing()


async def test_removal_said_before_the_enrolment_arrives(flow: Flow, thief: Thief) -> None:
    """Order of the bus is no order: a device removed before it was known stays removed."""
    link = Link.of(await flow.invite())
    enrolled = thief.enrolled(thief.endorsed_by(link))
    await flow.say("approval", enrolled.model_copy(update={"status": "removed", "version": 2}))
    await flow.say("approval", enrolled)
    await thief.assert_worth_nothing()
