"""A system of processes to break, and people who go on as people do: they do what the page offers.

`Ground` is the system: replicas behind the router, MongoDB, RabbitMQ, people with phones. `SignIn` is one sign-in in
one browser; its `finish` presses what there is to press until there is a token or a page that leads back to the start.
Afterwards `assert_signed_once` counts in the database, not on the page.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp
import lxml.html
from pymongo import AsyncMongoClient

from deploy.local import tenant
from deploy.local.browser import Browser, Form, Page
from deploy.local.cluster import Cluster, OfReplica, Replica
from deploy.local.parts import Part
from deploy.local.parts.port import free_port
from deploy.local.platform import make_keys
from deploy.local.settings import local_settings
from deploy.local.stage import Stage, many_processes
from deploy.standins.entra.requests import PendingRequest, passive_fields, remember, to_url
from deploy.standins.entra.settings import Settings as EntraSettings
from deploy.standins.entra.verify import (
    Directory,
    Federations,
    ReplayMemory,
    SignedInUser,
    verify_response,
)
from deploy.standins.phone.phone import PhoneError, SoftPhone
from services.admin import handlers as admin
from services.admin.domain import Account
from services.admin.handlers import NewAccount
from shared.contracts.admin import AccountStatus
from shared.ids import SystemIds

TENANT, DOMAIN = tenant.TENANT, tenant.DOMAIN
PATIENCE = 60.0
"""Seconds in which a sign-in must have come to an end, fault and all."""
IDS = SystemIds()
T = TypeVar("T")
Document = dict[str, Any]


async def eventually(attempt: Callable[[], Awaitable[T | None]], what: str, within: float = PATIENCE) -> T:
    """What `attempt` gives once it is not None. Raises TimeoutError."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while loop.time() < deadline:
        found = await attempt()
        if found is not None:
            return found
        await asyncio.sleep(0.03)
    raise TimeoutError(f"did not happen within {within:.0f} s: {what}")


class AnswerLost(Exception):
    """The invitation is spent on a key that the phone was not told is kept: the person asks for a new invitation."""


@dataclass
class Person:
    """Somebody with an enrolled phone."""

    account: Account
    phone: SoftPhone

    @property
    def upn(self) -> str:
        return self.account.upn


@dataclass
class Ground:
    """The running system and what a test needs to look behind it."""

    stage: Stage
    cluster: Cluster
    mongo: AsyncMongoClient[Document]
    folder: Path
    stack: AsyncExitStack
    replays: ReplayMemory = field(default_factory=ReplayMemory)
    people: int = 0

    @property
    def origin(self) -> str:
        return self.stage.settings.origin

    def database(self, service: str) -> Any:
        """That service's own database."""
        return self.mongo[f"{self.stage.settings.database_prefix}_{service}"]

    def replica(self, service: str, index: int = 0) -> Replica:
        return self.cluster.replicas[service][index]

    async def readiness(self, service: str, check: str) -> Any:
        """What `/readyz` of the first replica says of one check."""
        url = f"http://127.0.0.1:{self.replica(service).port}/readyz"
        async with aiohttp.ClientSession() as client, client.get(url) as answer:
            return (await answer.json())["checks"][check]

    async def whole(self) -> None:
        """Start what a test has ended; every replica is ready."""
        down = [r for r in self.cluster.all() if r.process is None or r.process.returncode is not None]
        await asyncio.gather(*(replica.start() for replica in down))

    async def account(self, upn: str | None = None) -> Account:
        """A new, invited person without a phone."""
        self.people += 1
        upn = upn or f"person{self.people}.{IDS.octets(3).hex()}@{DOMAIN}"
        new = NewAccount(upn=upn, first_name="Per", last_name="Son", email=f"p{self.people}@private.example")
        return await admin.create_account(self.stage.admin, TENANT, new)

    async def invite(self, account: Account) -> str:
        link = await admin.invite(self.stage.admin, TENANT, account.upn)
        await self.stage.flush()
        return link.url

    async def phone(self) -> SoftPhone:
        return await self.stack.enter_async_context(SoftPhone(ids=IDS))

    async def enrolled(self, phone: SoftPhone, link: str) -> SoftPhone:
        """Enrol as soon as the invitation has come as far as approval. Raises AnswerLost."""
        lost = False

        async def attempt() -> SoftPhone | None:
            nonlocal lost
            try:
                await phone.enrol(link)
            except PhoneError as error:
                if error.status == 410 and lost:
                    raise AnswerLost from error
                lost = lost or error.status == 503
                if error.status in (404, 410, 503):
                    return None
                raise
            except aiohttp.ClientError:
                lost = True
                return None
            return phone

        return await eventually(attempt, "the invitation reaches approval", PATIENCE)

    async def person(self) -> Person:
        """A new person with a phone that wsfed trusts."""
        account = await self.account()
        phone = await self.enrolled(await self.phone(), await self.invite(account))

        async def active() -> bool | None:
            now = await admin.show_account(self.stage.admin, TENANT, account.upn)
            return now.status is AccountStatus.ACTIVE or None

        await eventually(active, "the account is active")
        await eventually(lambda: self.trusted(phone), "wsfed trusts the phone")
        return Person(account, phone)

    async def devices(self, account: Account) -> dict[str, Document]:
        """The account's devices as approval keeps them; never more than one active here."""
        stored = await self._account(account)
        devices: dict[str, Document] = stored["devices"]
        return devices

    async def challenges(self, person: Person) -> list[Document]:
        """The person's requests as approval keeps them."""
        return list((await self._account(person.account))["challenges"].values())

    async def _account(self, account: Account) -> Document:
        stored: Document | None = await self.database("approval").accounts.find_one(
            {"_id": f"{TENANT}/{account.id}"}
        )
        assert stored is not None
        return stored

    async def trusted(self, phone: SoftPhone) -> Document | None:
        """wsfed's own record of that phone."""
        found: Document | None = await self.database("wsfed").devices.find_one(
            {"_id": f"{TENANT}/{phone.key.device}"}
        )
        return found

    async def browser(self) -> Browser:
        return await self.stack.enter_async_context(Browser())

    async def begin(self, person: Person, browser: Browser | None = None) -> "SignIn":
        """Steps 1 and 2."""
        browser = browser or await self.browser()
        url, pending = self.request(person.upn)
        page = await browser.get(url)
        assert page.status == 200, page.words()
        return SignIn(self, person, browser, page.url, pending)

    def request(self, upn: str) -> tuple[str, PendingRequest]:
        """Entra's request, and what Entra expects of the answer."""
        fields = passive_fields(upn, ids=IDS)
        pending = remember(DOMAIN, fields, self.stage.clock.now())
        return to_url(f"{self.origin}/t/{TENANT}/wsfed", fields), pending

    async def verify(self, form: Form, pending: PendingRequest) -> SignedInUser:
        """Entra's checks. Raises EntraError."""
        path = self.folder / "entra.json"
        await tenant.tell_entra(self.stage, path)
        known = EntraSettings.model_validate(json.loads(path.read_text()))
        return verify_response(
            form.fields,
            federations=Federations.of(*known.domains),
            directory=Directory.of(*known.users),
            replays=self.replays,
            pending=pending,
            now=datetime.fromtimestamp(self.stage.clock.now().timestamp(), UTC),
        )

    async def sign_in(self, person: Person) -> None:
        """A sign-in without a fault: the system works."""
        sign_in = await self.begin(person)
        await sign_in.finish()
        await sign_in.assert_signed_once()


@dataclass
class SignIn:
    """One sign-in, and everything that came of it."""

    ground: Ground
    person: Person
    browser: Browser
    url: str
    pending: PendingRequest
    tokens: list[Form] = field(default_factory=list)
    troubles: int = 0
    """How often the person had to try again: 503, or a connection that broke."""
    troubled: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def id(self) -> str:
        return urlsplit(self.url).path.rpartition("/")[2]

    async def stored(self) -> Document:
        """The transaction as wsfed keeps it."""
        found: Document | None = await self.ground.database("wsfed").transactions.find_one({"_id": self.id})
        assert found is not None
        return found

    async def in_state(self, *states: str) -> Document:
        """Wait until the stored transaction is there."""

        async def attempt() -> Document | None:
            now = await self.stored()
            return now if now["state"] in states else None

        return await eventually(attempt, f"the transaction is {' or '.join(states)}")

    async def page(self) -> Page:
        return await self.browser.get(self.url)

    async def press(self, what: str) -> Page:
        """Press the button on the page as it is now: `push`, `qr` or `token`."""
        page = await self.page()
        return await self.browser.submit(page.form(f"/{what}"))

    async def take(self) -> Page:
        """Step 10; a token that came is kept."""
        return self._kept(await self.press("token"))

    def _kept(self, page: Page) -> Page:
        if page.status == 200 and "wresult" in page.text:
            self.tokens += [form for form in page.forms() if "wresult" in form.fields]
        return page

    async def listed(self) -> bool | None:
        """Whether the phone shows a request."""
        return bool(await self.person.phone.list()) or None

    async def code(self) -> str:
        """Step 3, and the code that the page shows."""
        return (await self.press("push")).code()

    async def approve(self, code: str) -> None:
        """Steps 5 and 6, as soon as the phone hears of it."""

        async def attempt() -> bool | None:
            return await self._approved(code) or None

        await eventually(attempt, "the request reaches the phone")

    async def _approved(self, code: str) -> bool:
        """One try of the phone. Whether it knows that it was taken, or that there is nothing to take."""
        try:
            await self.person.phone.approve(code)
        except LookupError:
            return False  # not there yet, or over already
        except PhoneError as error:
            if error.status == 503:
                return False  # "try again"
            if error.code in ("accepted", "over"):
                return True  # it had been taken, only the answer was lost
            raise
        except (aiohttp.ClientError, TimeoutError):
            return False
        return True

    async def finish(self, within: float = PATIENCE) -> Page:
        """Go on as a person does until there is a token, or a page that leads back to Microsoft 365.

        Presses only what the page offers; a page that cannot be had is asked for again. Raises TimeoutError when it
        leads nowhere.
        """
        answered: set[str] = set()

        async def once() -> Page | None:
            try:
                page = await self.page()
                if page.status != 200:
                    self._trouble(page)
                    return None
                state = state_of(page)
                if state == "proved":
                    page = self._kept(await self.browser.submit(page.form("/token")))
                    if page.status != 200:
                        self._trouble(page)
                    return page if self.tokens else None
                if state == "finished":
                    return page
                if state == "push_waiting":
                    if (code := page.code()) not in answered and await self._approved(code):
                        answered.add(code)
                    return None
                page = await self.browser.submit(page.form("/push"))
                if page.status != 200:
                    self._trouble(page)
            except (aiohttp.ClientError, TimeoutError):
                self._trouble()  # the connection broke: reload
            return None

        return await eventually(once, "the sign-in comes to an end", within)

    def _trouble(self, page: Page | None = None) -> None:
        """Nothing but "try again" is an answer to a person."""
        assert page is None or page.status == 503, f"{page.status} {page.words()}"
        self.troubles += 1
        self.troubled.set()

    async def assert_signed_once(self) -> None:
        """One token here, one record of it, and Entra takes it."""
        assert len(self.tokens) == 1
        assert await self.issued() == 1
        user = await self.ground.verify(self.tokens[0], self.pending)
        assert user.upn == self.person.upn

    async def assert_goes_on_or_offers_retry(self, end: Page) -> None:
        """The rule of all faults: one token, or a page that leads back to the start and a new sign-in that works.
        Never two of anything.
        """
        assert len(self.tokens) <= 1
        if self.tokens:
            await self.assert_signed_once()
            return
        assert await self.issued() <= 1
        links = {str(a.get("href")) for a in lxml.html.fromstring(end.text).xpath("//main//a")}
        assert any(link.startswith("http://localhost") for link in links), f"no way on: {end.words()}"
        again = await self.ground.begin(self.person, self.browser)
        await again.finish()
        await again.assert_signed_once()

    async def issued(self) -> int:
        """Issuance records of this transaction."""
        count: int = await self.ground.database("wsfed").issuances.count_documents({"transaction": self.id})
        return count


@asynccontextmanager
async def away(part: Part) -> AsyncIterator[None]:
    """Killed, for as long as the block takes; afterwards it runs whatever has happened."""
    await asyncio.to_thread(part.kill)
    try:
        yield
    finally:
        await asyncio.to_thread(part.start)


def state_of(page: Page) -> str:
    """The state that a sign-in page shows; empty on a page that is none."""
    found = lxml.html.fromstring(page.text).xpath("//*[@id='page']/@data-state")
    return str(found[0]) if found else ""


STEPS = ["before the push", "waiting", "approving", "before the token"]
"""Moments of a sign-in in which a part may go away."""


async def lead_to(step: str, sign_in: SignIn) -> None:
    """Go that far: the page is there; the phone is asked; the phone shows the request; the proof is in."""
    if step == "before the push":
        return
    code = await sign_in.code()
    if step == "approving":
        await eventually(sign_in.listed, "the request reaches the phone")
    if step == "before the token":
        await sign_in.approve(code)
        await sign_in.in_state("proved")


@asynccontextmanager
async def stream(sign_in: SignIn, replica: Replica) -> AsyncIterator[aiohttp.ClientResponse]:
    """The page's live stream, from that replica itself."""
    parts = urlsplit(sign_in.url)
    cookies = "; ".join(f"{k}={v}" for k, v in sign_in.browser._cookies[parts.hostname or ""].items())
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client,
        client.get(
            f"http://127.0.0.1:{replica.port}{parts.path}/events",
            headers={"Host": parts.netloc, "Cookie": cookies, "Accept": "text/event-stream"},
        ) as answer,
    ):
        assert answer.status == 200
        yield answer


async def until_state(answer: aiohttp.ClientResponse, state: str) -> None:
    """Read the stream until it names that state."""
    async with asyncio.timeout(PATIENCE):
        async for line in answer.content:
            if line.startswith(b"data:") and json.loads(line[5:])["state"] == state:
                return
    raise AssertionError("the stream ended")


@asynccontextmanager
async def ground(
    folder: Path,
    *,
    mongo_url: str,
    bus_url: str,
    replicas: Mapping[str, int],
    of_replica: OfReplica | None = None,
) -> AsyncIterator[Ground]:
    """The whole system in `folder`: databases of its own on that server, contoso set up. All gone afterwards."""
    port, entra_port = free_port(), free_port()
    prefix = "faults_" + IDS.octets(6).hex()
    settings = local_settings(folder, port, mongo_url, bus_url=bus_url, database_prefix=prefix)
    make_keys(settings, IDS)
    async with AsyncExitStack() as stack:
        client: AsyncMongoClient[Document] = AsyncMongoClient(mongo_url, tz_aware=True)
        stack.push_async_callback(client.close)
        stage = await stack.enter_async_context(
            many_processes(
                settings,
                port=port,
                entra_port=entra_port,
                logs=folder / "log",
                replicas=replicas,
                of_replica=of_replica,
            )
        )
        assert stage.cluster is not None
        made = Ground(stage, stage.cluster, client, folder, stack)
        await tenant.seed(stage)
        await tenant.tell_entra(stage, folder / "entra.json")  # and so wait for every signing key
        yield made
