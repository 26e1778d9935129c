"""All services behind their HTTP routes, without a network: UNIX socket, memory bus and databases, clock moved by hand.

`Flow` is the stage, `SignIn` one sign-in in one browser, `Phone` a software phone. Every step is taken as people
and programs take it: over HTTP. Messages are delivered before the next step begins.
"""

import asyncio
import hashlib
import json
import re
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Self
from unittest import mock
from urllib.parse import urlsplit

import aiohttp
import pytest
import rfc8785
from aiohttp import web

from deploy import wiring
from deploy.local.browser import Browser, Form, Page
from deploy.local.tenant import signing_certificate
from deploy.pages import built
from deploy.standins.entra.requests import (
    PendingRequest,
    RequestOptions,
    passive_fields,
    remember,
    to_url,
)
from deploy.standins.entra.settings import Directory, Federations, FederationSettings, User
from deploy.standins.entra.verify import ReplayMemory, SignedInUser, verify_response
from deploy.standins.phone.authenticator import HONEST, Key, Tamper, assertion
from deploy.standins.phone.phone import SoftPhone
from deploy.standins.phone.request import Request
from deploy.standins.push.app import PushService
from services.admin import handlers as admin
from services.admin.domain.accounts import Account
from services.admin.handlers import NewAccount
from services.admin.ports import Dependencies
from services.wsfed.domain.keys import create_signing_key
from services.wsfed.store import DirectoryRepository, keys
from shared.clock import iso_millis
from shared.contracts import Message
from shared.contracts.approval import ChallengeAccepted, DeviceChanged, Endorsement, Proof
from shared.contracts.envelope import DOMAIN_SEPARATOR, SignedMessage
from shared.crypto.keys import key_from_seed, load_service_key
from shared.ids import b64u, new_id, unb64u
from shared.services import SERVICES
from shared.web.server import Runner, combine
from tests.world import InMemorySystem, make_system

TENANT, DOMAIN, ADA = "contoso", "contoso.example", "ada@contoso.example"
BOB = "bob@contoso.example"
REALM = "urn:federation:MicrosoftOnline"
LOGIN = "https://login.microsoftonline.com/login.srf"


PEER = "X-Test-Peer"


def peers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request comes from the address that its client was made with: a UNIX socket has none."""
    monkeypatch.setattr(web.BaseRequest, "remote", property(lambda request: request.headers.get(PEER)))


class BrowserWindow(Browser):
    """A browser over the UNIX socket."""

    def __init__(self, flow: "Flow", *, peer: str = "", **options: Any) -> None:
        super().__init__(**options)
        self._flow = flow
        self._peer = peer

    async def __aenter__(self) -> Self:
        self._session = self._flow.http(self._peer)
        return self

    def steal(self, cookies: Mapping[str, str]) -> None:
        """Malware in another browser read these, the `__Host-` ones too."""
        self._cookies["id.localhost"] |= cookies

    @property
    def cookies(self) -> dict[str, str]:
        """Of the sign-in host."""
        return self._cookies["id.localhost"]


class Phone(SoftPhone):
    """A software phone over the UNIX socket."""

    def __init__(self, flow: "Flow", *, peer: str = "", **options: Any) -> None:
        super().__init__(ids=flow.world.ids, **options)
        self._http = flow.http(peer)
        self._clock = flow.world.clock

    async def turn_on_notifications(self) -> str:
        """Subscribe at a push service that nobody reaches; the subscription's id."""
        service = PushService(self._clock, self._ids, "http://127.0.0.1:9")
        return await self.subscribe(service.subscribe(await self.push_key()))


@dataclass
class Entra:
    """Microsoft's side: makes requests in Entra's shapes and believes nothing that it did not verify itself."""

    flow: "Flow"
    replays: ReplayMemory = field(default_factory=ReplayMemory)

    def request(self, upn: str, tenant: str = TENANT, **options: Any) -> tuple[str, PendingRequest]:
        """The address that Entra sends a browser to, and what it will expect of the answer."""
        typed: RequestOptions = options  # type: ignore[assignment]
        fields = passive_fields(upn, ids=self.flow.world.ids, **typed)
        url = to_url(f"{self.flow.origin}/t/{tenant}/wsfed", fields)
        return url, remember(upn.rpartition("@")[2] or DOMAIN, fields, self.flow.world.clock.now())

    async def verify(self, form: Form, pending: PendingRequest, tenant: str = TENANT) -> SignedInUser:
        """Raises EntraError."""
        configured = await admin.show_tenant(self.flow.admin, tenant)
        settings = []
        async with BrowserWindow(self.flow) as browser:
            for each in configured.domains:
                path = f"/t/{tenant}/{each.name}/FederationMetadata/2007-06/FederationMetadata.xml"
                metadata = await browser.get(self.flow.origin + path)
                settings.append(
                    FederationSettings(
                        domain=each.name,
                        tenant=tenant,
                        issuer_uri=each.issuer,
                        passive_sign_in_uri=f"{self.flow.origin}/t/{tenant}/wsfed",
                        signing_certificate=signing_certificate(metadata.text),
                        federated_idp_mfa_behavior="acceptIfMfaDoneByFederatedIdp",
                    )
                )
        users = [
            User(immutable_id=a.immutable_id, upn=a.upn, tenant=tenant)
            for a in (await admin.list_accounts(self.flow.admin, tenant, limit=200)).accounts
        ]
        return verify_response(
            form.fields,
            federations=Federations.of(*settings),
            directory=Directory.of(*users),
            replays=self.replays,
            pending=pending,
            now=self.flow.world.clock.now(),
        )


@dataclass
class SignIn:
    """One sign-in in one browser: an address, and the CSRF token that its own page carried."""

    flow: "Flow"
    browser: BrowserWindow
    url: str
    csrf: str
    pending: PendingRequest

    @property
    def id(self) -> str:
        return urlsplit(self.url).path.rpartition("/")[2]

    @property
    def stored(self) -> dict[str, Any]:
        """The transaction as wsfed keeps it."""
        (found,) = (d for d in self.flow.world.documents("wsfed", "transactions") if d["_id"] == self.id)
        return found

    async def page(self) -> Page:
        return await self.browser.get(self.url)

    async def state(self) -> str:
        """What the page's own code polls."""
        return await self.flow.polled(self.browser, self.url)

    async def post(self, action: str, **fields: str) -> Page:
        return await self.browser.post(f"{self.url}/{action}", {"csrf": self.csrf, **fields})

    async def push(self) -> str:
        """Step 3: ask for a push; the code that the page shows."""
        return (await self.post("push")).code()

    async def qr(self) -> str:
        """Step 3: ask for a QR code; the code that the page shows."""
        return (await self.post("qr")).code()

    @property
    def qr_text(self) -> str:
        """What a camera reads from the page: its picture is drawn from this text."""
        return f"{self.flow.phone_origin}/#q={self.stored['challenge']['handle']}"

    async def passkey_challenge(self) -> bytes:
        """Passkey, step 1: what is to be signed, as the page brings it."""
        return unb64u((await self.page_passkey())["challenge"])

    async def page_passkey(self) -> dict[str, str]:
        """Passkey, step 1: what the page tells its script; empty where it offers no passkey."""
        page = await self.page()
        assert page.status in (200, 403), page.text
        return dict(re.findall(r'data-(challenge|rp-id|timeout)="([^"]*)"', page.text))

    async def passkey(
        self, phone: SoftPhone, tamper: Tamper = HONEST, *, challenge: bytes | None = None
    ) -> Page:
        """Passkey, steps 1 to 6, with that phone's key."""
        if challenge is None:
            challenge = await self.passkey_challenge()
        made = tamper.replay or assertion(on_sign_in_page(phone.used_key()), challenge, tamper)
        return await self.script(
            "passkey",
            credential_id=made["id"],
            authenticator_data=made["response"]["authenticatorData"],
            client_data_json=made["response"]["clientDataJSON"],
            signature=made["response"]["signature"],
        )

    async def script(self, action: str, **fields: str) -> Page:
        """What the page's own code posts when it wants JSON."""
        return await self.browser.post(
            f"{self.url}/{action}", {"csrf": self.csrf, **fields}, headers={"Accept": "application/json"}
        )

    async def token(self) -> Page:
        """Step 10: what the browser gets when it asks for the token, past the page about phones that were added."""
        page = await self.post("token")
        if any("told" in form.fields for form in page.forms()):
            return await self.post("token", told="1")
        return page

    async def take(self) -> Form:
        """Steps 10 and 11: the form that goes to Microsoft."""
        return token_form(await self.token())


def token_form(page: Page) -> Form:
    """The form that carries the token; fails when there is none."""
    (form,) = (f for f in page.forms() if "wresult" in f.fields)
    return form


def normal(page: Page) -> str:
    """The page without what differs between any two sign-ins: ids, nonces, both codes, name, initial, time left."""
    text = re.sub(r"<path transform[^>]*>", "<path>", page.text)
    text = re.sub(r"<output.*?</output>", "<output>", text, flags=re.DOTALL)
    text = re.sub(r"[A-Za-z0-9_-]{22,}", "ID", text)
    text = re.sub(r'version(="|": )\d+', "VERSION", text)
    text = re.sub(r'(class="identity"><span class="initials" aria-hidden="true">)\w', r"\1I", text)
    return re.sub(r"[a-z.]+@contoso\.example", "NAME", text)


@dataclass
class Flow:
    """Everything at work."""

    world: InMemorySystem
    admin: Dependencies
    socket: Path
    stack: AsyncExitStack

    @property
    def origin(self) -> str:
        return self.world.platform.settings.origin

    @property
    def phone_origin(self) -> str:
        return self.world.platform.settings.origins.phone

    @property
    def entra(self) -> Entra:
        return Entra(self)

    def http(self, peer: str = "") -> aiohttp.ClientSession:
        """A client whose every connection goes to the socket; an answer comes after what it set going on the bus.

        `peer`: the address it comes from, for tests that use `peers`.
        """

        async def settle(*_: object) -> None:
            await self.world.settle()

        trace = aiohttp.TraceConfig()
        trace.on_request_end.append(settle)
        return aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(str(self.socket)),
            headers={PEER: peer} if peer else {},
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=30),
            trace_configs=[trace],
        )

    async def tenant(self, slug: str, domain: str) -> None:
        """A tenant with an application and a domain."""
        await admin.create_tenant(self.admin, slug, slug.capitalize())
        await admin.add_domain(self.admin, slug, domain)
        await admin.add_application(self.admin, slug)
        await self.world.settle()

    async def policy(self, **changes: object) -> None:
        """contoso's policy from now on, at wsfed too."""
        policy = (await admin.show_tenant(self.admin, TENANT)).policy
        await admin.configure_tenant(self.admin, TENANT, policy=policy.model_copy(update=changes))
        await self.world.settle()

    async def person(self, upn: str, tenant: str = TENANT) -> Account:
        """A new, invited person."""
        first = upn.partition("@")[0].capitalize()
        new = NewAccount(upn=upn, first_name=first, last_name="Test", email=f"{first}@private.example")
        account = await admin.create_account(self.admin, tenant, new)
        await self.world.settle()
        return account

    async def account(self, upn: str = ADA, tenant: str = TENANT) -> Account:
        return await admin.show_account(self.admin, tenant, upn)

    async def invite(self, upn: str = ADA, tenant: str = TENANT) -> str:
        """The invitation link."""
        link = await admin.invite(self.admin, tenant, upn)
        await self.world.settle()
        return link.url

    def sent(self, message_type: str) -> list[SignedMessage]:
        """Every message of that type that any service has sent, the oldest first."""
        return [signed for signed in self.world.bus.sent if signed.type == message_type]

    async def bare_phone(self, **options: Any) -> Phone:
        """A phone without a key."""
        phone = Phone(self, **options)
        self.stack.push_async_callback(phone.close)
        return phone

    async def phone(self, upn: str = ADA, tenant: str = TENANT, **options: Any) -> Phone:
        """That person's enrolled phone."""
        phone = await self.bare_phone(**options)
        await phone.enrol(await self.invite(upn, tenant))
        return phone

    async def browser(self, **options: Any) -> BrowserWindow:
        return await self.stack.enter_async_context(BrowserWindow(self, **options))

    async def begin(
        self, upn: str = ADA, tenant: str = TENANT, *, browser: BrowserWindow | None = None, **options: Any
    ) -> SignIn:
        """Steps 1 and 2: Entra's request in a browser, by default a new one."""
        browser = browser or await self.browser()
        url, pending = self.entra.request(upn, tenant, **options)
        page = await browser.get(url)
        assert page.status == 200, page.words()
        csrf = next(form.fields["csrf"] for form in page.forms() if "csrf" in form.fields)
        return SignIn(self, browser, page.url, csrf, pending)

    async def polled(self, browser: BrowserWindow, url: str) -> str:
        """The state by the polling address."""
        answer = await browser.get(f"{url}/state", headers={"Accept": "application/json"})
        assert answer.status == 200, answer.text
        state: str = json.loads(answer.text)["state"]
        return state

    def issuances(self) -> list[dict[str, Any]]:
        """wsfed's issuance records."""
        return self.world.documents("wsfed", "issuances")

    def reasons(self, service: str = "wsfed") -> list[str]:
        """Why messages ended as that service's dead letters."""
        return [letter.reason for letter in self.world.bus.dead_letters if letter.service == service]

    async def counts(self, key: Key) -> bool:
        """Whether wsfed takes proofs by that key, under its device id, for its account now."""
        directory = DirectoryRepository(self.world.databases["wsfed"], self.world.clock)
        trusted = await directory.trusted_device(key.tenant, key.account, key.device)
        return trusted is not None and trusted.public_key == key.spki

    async def decision(self, device: str, upn: str = ADA, tenant: str = TENANT) -> tuple[str, str] | None:
        """Status and reason of admin's decision on a device of that person, as the console and command line show it."""
        for each in await admin.list_devices(self.admin, tenant, upn):
            if each.id == device and each.status is not None:
                return each.status.value, each.reason
        return None

    # attackers

    async def say(self, service: str, message: Message, tenant: str = TENANT) -> None:
        """A message with that service's true signature: the service was taken over."""
        await self.publish(self.world.signer(service).sign(message, tenant=tenant))

    async def publish(self, signed: SignedMessage) -> None:
        """A message from whoever can write to the bus. One that is to be retried goes on waiting for the clock."""
        task = asyncio.create_task(self.world.bus.publish([signed]))
        self.stack.callback(task.cancel)
        for _ in range(3):  # the bus starts its deliveries
            await asyncio.sleep(0)
        await self.world.settle()

    def sign(
        self, message: Message, *, sender: str, key_of: str | None, tenant: str = TENANT, **outside: Any
    ) -> SignedMessage:
        """A message that calls itself `sender`'s, signed with the key of `key_of`, or with one of the forger's own.
        `outside`: fields of the envelope.

        Made without the help of `MessageSigner`, which would refuse to lie.
        """
        key = key_from_seed(bytes(32))
        if key_of is not None:
            key = load_service_key(self.world.platform.settings.keys / f"{key_of}.key")
        message_id = new_id(self.world.ids)
        envelope: dict[str, Any] = {
            "v": 1,
            "id": message_id,
            "type": message.TYPE,
            "tenant": tenant,
            "occurred_at": iso_millis(self.world.clock.now()),
            "correlation_id": message_id,
            "causation_id": None,
            "sender": sender,
            "stream": None,
            "number": None,
            "body": message.model_dump(mode="json"),
            **outside,
        }
        body = rfc8785.dumps(envelope)
        to = str(getattr(message, "to", "")) if message.ADDRESSED else ""
        return SignedMessage(message_id, envelope["type"], body, key.sign(DOMAIN_SEPARATOR + body), to)


def on_sign_in_page(key: Key) -> Key:
    """The key as the sign-in page uses it: in that page's origin."""
    return replace(key, origin=key.origin.replace("//key.", "//"))


def proof_of(key: Key, context: str, tamper: Tamper = HONEST) -> Proof:
    """What that key signs for a context: approval's message carries it to wsfed."""
    made = assertion(key.used(), hashlib.sha256(context.encode()).digest(), tamper)["response"]
    return Proof(
        context=context,
        authenticator_data=made["authenticatorData"],
        client_data_json=made["clientDataJSON"],
        signature=made["signature"],
    )


def accepted(sign_in: SignIn, request: Request, key: Key, proof: Proof) -> ChallengeAccepted:
    """approval's word that this device approved this request."""
    return ChallengeAccepted(
        challenge=request.id,
        transaction=sign_in.id,
        account=key.account,
        device=key.device,
        proof=proof,
    )


async def known_browser(flow: Flow, phone: Phone) -> SignIn:
    """A new sign-in in a browser from which Ada has signed in before, and whose session has ended since."""
    first = await flow.begin()
    await phone.approve(await first.push())
    await first.take()
    flow.world.clock.advance(13 * 3600)
    return await flow.begin(browser=first.browser)


async def assert_no_token(sign_in: SignIn, state: str | None = None) -> None:
    """The page does not go on and a bare post gives no token; nothing was issued. `state`: what the page must say."""
    seen = await sign_in.state()
    assert seen not in ("proved", "finished")
    assert state in (None, seen)
    answer = await sign_in.token()
    assert "wresult" not in answer.text
    assert sign_in.stored["state"] not in ("proved", "issued")
    assert sign_in.flow.issuances() == []


_made_once = cache(create_signing_key)
"""Token-signing keys, one for each tenant in the whole run: making RSA keys is what takes the time."""


@asynccontextmanager
async def start_flow(folder: Path, **world_options: Any) -> AsyncIterator[Flow]:
    """contoso with one domain, one application and the invited person Ada."""
    world = make_system(folder, **world_options)
    reached = [name for name, row in SERVICES.items() if row.mounts or name == "admin"]
    wired = {}
    for each in wiring.build(world.platform, reached):
        wired[each.service.name] = each
        await world.begin(each.service)
    await world.current()
    settings = world.platform.settings
    apps = {name: service.web for name, service in world.services.items() if service.web is not None}
    root = combine(apps, settings.origins, tree=built(), clock=world.clock, ids=world.ids)
    async with AsyncExitStack() as stack:
        stack.enter_context(mock.patch.object(keys, "create_signing_key", _made_once))
        # a short path: the address of a UNIX socket has 108 octets at most
        socket = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="b365-"))) / "http"
        stack.push_async_callback(world.bus.stop)
        runner = Runner(root)
        stack.push_async_callback(runner.cleanup)
        await runner.setup()
        await web.UnixSite(runner, str(socket)).start()
        flow = Flow(world, wired["admin"].dependencies, socket, stack)
        await flow.tenant(TENANT, DOMAIN)
        await flow.person(ADA)
        yield flow


def said_active_again(flow: Flow, lost: SoftPhone) -> DeviceChanged:
    """The genuine event of an enrolment, with its endorsement, as approval would say it again of a removed phone."""
    (account,) = flow.world.documents("approval", "accounts")
    device = account["devices"][lost.key.device]
    return DeviceChanged(
        version=device["version"] + 5,
        device=lost.key.device,
        account=lost.key.account,
        credential_id=lost.key.credential_id,
        public_key=b64u(lost.key.spki),
        endorsement=Endorsement(kind="invitation", by=device["invitation"], signature=device["endorsement"]),
        enrolled_at=device["enrolled_at"],
        status="active",
    )
