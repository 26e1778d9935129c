"""approval in a world of its own, what admin and wsfed would tell it, and a phone without a network."""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deploy.standins.phone.authenticator import (
    HONEST,
    Algorithm,
    Key,
    Tamper,
    assertion,
    attestation,
    make_private_key,
)
from services.approval import app
from services.approval.domain.account import Device
from services.approval.domain.ceremony import RelyingParty
from services.approval.handlers import challenges, enrolment, sessions
from services.approval.handlers.sessions import SignedIn
from services.approval.ports import Ceremony, Dependencies
from services.approval.store import (
    AccountRepository,
    CeremonyRepository,
    DecoyRepository,
    OfferRepository,
    SessionRepository,
    TenantRepository,
)
from shared.bus.port import Handlers
from shared.clock import iso_millis
from shared.contracts import Message
from shared.contracts.admin import (
    AccountChanged,
    AccountStatus,
    AuthenticatorChanged,
    AuthenticatorStatus,
    EndorsedBy,
    InvitationChanged,
    TenantConfigured,
)
from shared.contracts.approval import (
    ChallengeAccepted,
    ChallengeClaimed,
    ChallengeEnded,
    DeviceChanged,
    OpenChallenge,
)
from shared.contracts.envelope import VerifiedMessage
from shared.crypto.enrolment import FirstSession, NewDeviceKey, endorse
from shared.crypto.keys import key_from_seed, raw_public
from shared.crypto.sealed_box import load_sealer
from shared.crypto.statement import Statement
from shared.crypto.vapid import load_vapid_public
from shared.geoip import GeoIp
from shared.ids import b64u, new_id, new_secret, unb64u
from shared.store.port import Database
from tests.world import InMemorySystem, make_system

CODE = "482913"
RP_ID = "id.localhost"
SIGN_IN_ORIGIN = "http://id.localhost:8365"
ORIGIN = "http://key.id.localhost:8365"
"""Of the phone's page."""
APP_ORIGIN = "android:apk-key-hash:blokkey"
BROWSER_ADDRESS = "192.0.2.17"
PHONE_ADDRESS = "192.0.2.80"


def sha256(text: str) -> str:
    return b64u(hashlib.sha256(text.encode()).digest())


@dataclass
class Asked:
    """A challenge that wsfed opened, and what only wsfed and the page know of it."""

    command: OpenChallenge
    code: str
    handle: str | None

    @property
    def id(self) -> str:
        return self.command.challenge

    def with_code(self, code: str | None = None) -> str:
        typed = self.code if code is None else code
        return rfc8785.dumps({**json.loads(self.command.context), "code": typed}).decode()


@dataclass
class Approval:
    """The service under test; `deps` work on the same data as a second replica would."""

    world: InMemorySystem
    deps: Dependencies
    heard: list[Message] = field(default_factory=list)
    _invitations: dict[str, tuple[Ed25519PrivateKey, str]] = field(default_factory=dict)

    @property
    def ids(self) -> Any:
        return self.world.ids

    async def tenant(self, tenant: str = "contoso", *, version: int = 1, name: str = "Contoso") -> None:
        news = TenantConfigured(version=version, name=name, applications=(), domains=())
        await self.world.say("admin", news, tenant)

    async def account(
        self,
        account: str = "ada",
        *,
        tenant: str = "contoso",
        version: int = 1,
        status: AccountStatus = AccountStatus.ACTIVE,
        session_epoch: int = 0,
    ) -> None:
        news = AccountChanged(
            version=version,
            account=account,
            upn=f"{account}@{tenant}.example",
            display_name=account.title(),
            immutable_id=account,
            status=status,
            session_epoch=session_epoch,
        )
        await self.world.say("admin", news, tenant)

    async def invitation(
        self,
        account: str = "ada",
        *,
        tenant: str = "contoso",
        invitation: str | None = None,
        version: int = 1,
        status: Any = "open",
        hours: float = 24,
        session_epoch: int = 0,
    ) -> str:
        """The link's fragment: `<id>.<seed>`."""
        if invitation is None:
            seed = self.ids.random_bytes(32)
            invitation = new_id(self.ids)
            self._invitations[invitation] = (key_from_seed(seed), b64u(seed))
        key, seed_text = self._invitations[invitation]
        now = self.world.clock.now()
        news = InvitationChanged(
            version=version,
            invitation=invitation,
            account=account,
            public_key=b64u(raw_public(key)),
            issued_at=now,
            expires_at=now + timedelta(hours=hours),
            status=status,
            session_epoch=session_epoch,
        )
        await self.world.say("admin", news, tenant)
        return f"{invitation}.{seed_text}"

    async def phone(
        self,
        account: str = "ada",
        *,
        tenant: str = "contoso",
        algorithm: Algorithm = "ES256",
        counts: bool = True,
        confirmed: bool = True,
    ) -> "Phone":
        """An account that is active, with one phone enrolled. `confirmed`: admin has decided that it counts."""
        await self.account(account, tenant=tenant)
        fragment = await self.invitation(account, tenant=tenant)
        phone = Phone(self, algorithm=algorithm, counts=counts)
        await phone.enrol(fragment)
        if confirmed:
            await self.confirm(account, tenant=tenant)
        return phone

    async def confirm(self, account: str = "ada", *, tenant: str = "contoso") -> None:
        """admin decides that every phone of the account counts on which it has not decided yet."""
        await self.settle()
        stored = await self.deps.accounts.load(tenant, account)
        assert stored is not None
        for device in stored.value.devices.values():
            if device.decision == "waiting":
                await decide(self, device.id, "trusted", account=account, version=1, tenant=tenant)

    async def ask(
        self,
        account: str = "ada",
        *,
        tenant: str = "contoso",
        method: Any = "push",
        browser: str = "firefox",
        known: bool = False,
        lifetime: int = 120,
        handle_lifetime: int | None = None,
        renews: str | None = None,
        same_network: bool = False,
        address: str = BROWSER_ADDRESS,
        place: str = "Lyon, France",
        code: str = CODE,
        decoy: bool = False,
        deliver: bool = True,
        realm: str = "urn:federation",
    ) -> Asked:
        """wsfed opens a challenge. Without a code: a known browser's QR code, for which none is asked."""
        challenge, transaction = new_id(self.ids), new_id(self.ids)
        fields: dict[str, Any] = {
            "v": 2,
            "purpose": "approve",
            "origin": self.world.platform.settings.origin,
            "tenant": tenant,
            "account": account,
            "transaction": transaction,
            "challenge": challenge,
        }
        fields |= {"application": "m365", "application_name": "Microsoft 365", "method": method}
        fields |= {"nonce": new_secret(self.ids)}
        fields |= {"organisation": "Contoso", "upn": f"{account}@{tenant}.example", "realm": realm}
        fields |= {"code_required": bool(code), "known_browser": known}
        fields |= {"address": address, "place": place, "agent": "Firefox on Windows"}
        now = self.world.clock.now()
        fields |= {
            "issued_at": iso_millis(now),
            "expires_at": iso_millis(now + timedelta(seconds=lifetime)),
        }
        context = rfc8785.dumps(fields).decode()
        handle = new_id(self.ids) if method == "qr" else None
        command = OpenChallenge(
            challenge=challenge,
            transaction=transaction,
            account=account,
            method=method,
            context=context,
            expected_digest=sha256(rfc8785.dumps({**fields, "code": code}).decode()),
            browser=browser,
            browser_known=known,
            lifetime=lifetime,
            handle_digest=None if handle is None else sha256(handle),
            handle_lifetime=handle_lifetime if method == "qr" else None,
            renews=renews,
            same_network=same_network,
            decoy=decoy,
        )
        if deliver:
            await self.world.say("wsfed", command, tenant)
        return Asked(command, code, handle)

    async def settle(self) -> None:
        """Until what was written has been heard."""
        for _ in range(5):  # a publish needs a few turns before the bus knows of it
            await asyncio.sleep(0)
        await self.world.settle()

    async def outcomes(self) -> list[tuple[str, str]]:
        """What wsfed heard of ends: transaction and outcome, in order."""
        await self.settle()
        said = []
        for message in self.heard:
            if isinstance(message, ChallengeAccepted):
                said.append((message.transaction, "accepted"))
            elif isinstance(message, ChallengeEnded):
                said.append((message.transaction, message.outcome))
        return said

    async def claims(self) -> list[tuple[str, str]]:
        """What wsfed heard of scans: challenge and device, in order."""
        await self.settle()
        return [(m.challenge, m.device) for m in self.heard if isinstance(m, ChallengeClaimed)]

    async def devices_told(self) -> list[DeviceChanged]:
        await self.settle()
        return [message for message in self.heard if isinstance(message, DeviceChanged)]

    def document(self, account: str = "ada", tenant: str = "contoso") -> dict[str, Any]:
        found = [d for d in self.world.documents("approval", "accounts") if d["_id"] == f"{tenant}/{account}"]
        return found[0]

    def state(self, asked: Asked) -> str:
        return str(self.document(asked.command.account)["challenges"][asked.id]["state"])


class Phone:
    """A phone that speaks to the handlers directly."""

    def __init__(self, approval: Approval, *, algorithm: Algorithm = "ES256", counts: bool = True) -> None:
        self.approval = approval
        self.deps = approval.deps
        self.algorithm = algorithm
        self.counts = counts
        self.key: Key
        self.device: str
        """Its id, once it is enrolled."""
        self.sent: tuple[str, str, dict[str, Any], str, str]
        """What `finish` sends."""
        self.invitation: tuple[str, Ed25519PrivateKey]
        """The id and the key of the invitation with which `sent` was made."""

    async def enrol(self, fragment: str, *, tamper: Tamper = HONEST, name: str = "Ada's phone") -> None:
        await self.make(fragment, tamper=tamper, name=name)
        await self.finish()

    async def make(
        self, fragment: str, *, tamper: Tamper = HONEST, name: str = "Ada's phone", **other: Any
    ) -> None:
        """Begin, and make the key: everything but the end. `other`: fields in which its statement lies."""
        invitation, _, seed = fragment.partition(".")
        begun = await enrolment.begin_enrolment(self.deps, invitation)
        statement = self.statement(begun.ceremony, **other)
        key = Key(
            credential_id=tamper.credential_id or b64u(self.approval.ids.random_bytes(32)),
            private_key=make_private_key(self.algorithm, self.approval.ids),
            origin=ORIGIN,
            rp_id=RP_ID,
            tenant=begun.ceremony.tenant,
            account=begun.ceremony.account,
            sign_count=1 if self.counts else 0,
        )
        new = NewDeviceKey(key.tenant, key.account, invitation, key.credential_id, key.spki)
        self.invitation = invitation, key_from_seed(unb64u(seed))
        vouched = tamper.endorsement or endorse(self.invitation[1], new)
        credential = attestation(key, statement.digest(), tamper)
        self.sent = begun.ceremony.id, statement.text(), credential, b64u(vouched), name
        self.key = key

    async def finish(self, deps: Dependencies | None = None, /, **asked: str) -> Device:
        """Send the end, as often as one likes. `asked`: a first session (`first_session`)."""
        made = await enrolment.finish_enrolment(deps or self.deps, *self.sent, **asked)
        self.device = made.id
        return made

    def bearer(self, token: str) -> str:
        """What the phone shows of its first session: the token that it has drawn, with its credential before it."""
        return f"{self.key.credential_id}.{token}"

    def first_session(self, token: str, /, **other: str) -> dict[str, str]:
        """What the phone sends to have a session of that token. `other`: fields in which what it signs differs."""
        invitation, secret = self.invitation
        digest = sessions.digest_of(token)
        honest = FirstSession(self.key.tenant, self.key.account, invitation, self.key.credential_id, digest)
        signature = endorse(secret, replace(honest, **other))
        return {"session": digest, "session_signature": b64u(signature)}

    def answer(self, context: str, *, tamper: Tamper = HONEST) -> dict[str, Any]:
        self.key = self.key.used()
        return assertion(self.key, hashlib.sha256(context.encode()).digest(), tamper)

    async def scan(self, asked: Asked) -> challenges.Request:
        """Point the camera at a QR code."""
        return await challenges.request_by_handle(
            self.deps, await self.who(), asked.handle or "", PHONE_ADDRESS
        )

    async def approve(self, asked: Asked, *, code: str | None = None, tamper: Tamper = HONEST) -> None:
        context = tamper.context or asked.with_code(code)
        await challenges.approve(self.deps, asked.id, context, self.answer(context, tamper=tamper))

    def statement(self, begun: Ceremony, **other: Any) -> Statement:
        """What a phone states for the nonce that it was given; `other`: fields in which it differs."""
        fields: dict[str, Any] = {
            "purpose": begun.purpose,
            "origin": ORIGIN,
            "rp_id": RP_ID,
            "nonce": new_secret(self.approval.ids),
            "server_nonce": begun.server_nonce,
            "device": begun.device or None,
        }
        return Statement(**{**fields, **other})

    def stated(self, begun: Ceremony, *, tamper: Tamper = HONEST, **other: Any) -> tuple[str, dict[str, Any]]:
        """A statement for that nonce, and the assertion over it."""
        statement = self.statement(begun, **other)
        self.key = self.key.used()
        return statement.text(), assertion(self.key, statement.digest(), tamper)

    async def sign_in(self) -> tuple[str, SignedIn]:
        begun = await sessions.begin_session(self.deps)
        return await sessions.open_session(self.deps, begun.id, *self.stated(begun))

    async def remove(self, who: SignedIn, target: str, **other: Any) -> None:
        """Take one of the account's phones out of use, as the page does. `other`: lies of its statement."""
        begun = await sessions.begin_removal(self.deps, who, target)
        await sessions.remove_device(self.deps, who, target, begun.id, *self.stated(begun, **other))

    async def who(self) -> SignedIn:
        return (await self.sign_in())[1]

    async def listed(self) -> Sequence[str]:
        found = await challenges.list_requests(self.deps, await self.who(), PHONE_ADDRESS)
        return [each.id for each in found]


async def make_approval(folder: Path) -> Approval:
    world = make_system(folder)
    await world.start(app.build)
    approval = Approval(world, replica(world))

    async def hear(received: VerifiedMessage[Any]) -> None:
        approval.heard.append(received.message)

    listens: Handlers = {
        ChallengeAccepted: hear,
        ChallengeClaimed: hear,
        ChallengeEnded: hear,
        DeviceChanged: hear,
    }
    await world.bus.consume("wsfed", listens)
    await approval.tenant()
    return approval


class Interleaved:
    """A collection that lets others run before each operation, as a real database does."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._collection, name)
        if not callable(operation):
            return operation

        async def later(*arguments: Any, **options: Any) -> Any:
            await asyncio.sleep(0)
            return await operation(*arguments, **options)

        return later


class InterleavedDatabase:
    """A database of such collections."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def collection(self, *arguments: Any, **options: Any) -> Any:
        return Interleaved(self._database.collection(*arguments, **options))


def replica(world: InMemorySystem, database: Database | None = None) -> Dependencies:
    """The dependencies of another process on the same data: nothing in memory is shared."""
    interleaved: Any = InterleavedDatabase(database or world.databases["approval"])
    return Dependencies(
        accounts=AccountRepository(interleaved, world.platform.signer("approval")),
        decoys=DecoyRepository(interleaved, world.platform.signer("approval")),
        sessions=SessionRepository(interleaved),
        ceremonies=CeremonyRepository(interleaved),
        offers=OfferRepository(interleaved),
        tenants=TenantRepository(interleaved),
        fresh=lambda _: True,
        clock=world.clock,
        ids=world.ids,
        rp=RelyingParty(RP_ID, (ORIGIN, APP_ORIGIN)),
        notify_sealer=load_sealer(world.platform.settings.keys, "notify"),
        push_key=load_vapid_public(world.platform.settings.keys),
        countries=GeoIp(world.platform.settings.places_file, world.clock),
    )


async def decide(
    approval: Approval,
    device: str,
    status: str = "revoked",
    *,
    account: str = "ada",
    version: int = 2,
    tenant: str = "contoso",
) -> None:
    """admin says what it has decided on that device."""
    news = AuthenticatorChanged(
        version=version,
        authenticator=device,
        kind="phone",
        account=account,
        credential_id="credential",
        key_sha256="hash",
        endorsed_by=EndorsedBy(kind="invitation", id="invitation"),
        status=AuthenticatorStatus(status),
        reason="" if status == "trusted" else "reason",
    )
    await approval.world.say("admin", news, tenant)
