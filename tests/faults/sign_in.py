"""One sign-in in one browser, and a person who goes on as people do: presses what the page offers.

`SignIn.finish` goes on until there is a token or a page that leads back to the start. Afterwards `assert_signed_once`
counts in the database, not on the page.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import lxml.html

from deploy.local.backing import BackingService
from deploy.local.browser import Browser, Form, Page
from deploy.local.cluster import Replica
from deploy.standins.entra.requests import PendingRequest
from deploy.standins.phone.phone import PhoneError, SoftPhone
from services.admin.domain.accounts import Account
from shared.testing.waiting import eventually

if TYPE_CHECKING:
    from tests.faults.support import FaultSystem

PATIENCE = 60.0
"""Seconds in which a sign-in must have come to an end, fault and all."""
Document = dict[str, Any]


@dataclass
class Person:
    """Somebody with an enrolled phone."""

    account: Account
    phone: SoftPhone

    @property
    def upn(self) -> str:
        return self.account.upn


@dataclass
class SignIn:
    """One sign-in, and everything that came of it."""

    fault_system: "FaultSystem"
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
        found: Document | None = await self.fault_system.database("wsfed").transactions.find_one(
            {"_id": self.id}
        )
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

        return await eventually(once, "the sign-in comes to an end", within=within)

    def _trouble(self, page: Page | None = None) -> None:
        """Nothing but "try again" is an answer to a person."""
        assert page is None or page.status == 503, f"{page.status} {page.words()}"
        self.troubles += 1
        self.troubled.set()

    async def assert_signed_once(self) -> None:
        """One token here, one record of it, and Entra takes it."""
        assert len(self.tokens) == 1
        assert await self.issued() == 1
        user = await self.fault_system.verify(self.tokens[0], self.pending)
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
        assert any(link.startswith(("http://localhost", "http://id.localhost")) for link in links), (
            f"no way on: {end.words()}"
        )
        again = await self.fault_system.begin(self.person, self.browser)
        await again.finish()
        await again.assert_signed_once()

    async def issued(self) -> int:
        """Issuance records of this transaction."""
        count: int = await self.fault_system.database("wsfed").issuances.count_documents(
            {"transaction": self.id}
        )
        return count


@asynccontextmanager
async def away(part: BackingService) -> AsyncIterator[None]:
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
