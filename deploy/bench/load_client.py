"""A person who signs in by push, as most do in the morning: in the browser of yesterday, which is known and whose
session is over, and with an enrolled phone that has a session.

Every request is one that the real page or phone makes, in the order they make it, without static files (cached for
a year) and without waiting for a person: the phone looks `FIRST_LOOK` seconds after the push went out (a
notification would have woken it), and again after twice as long while the request is still under way.
"""

import asyncio
import hashlib
import html
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

import rfc8785

from deploy.bench.http import Answer, Exchange, Pool, octets
from deploy.standins.phone.authenticator import Key, assertion
from shared.ids import b64u
from shared.services import Host
from shared.web.paths import Origins

FIRST_LOOK = 0.03
PATIENCE = 20.0
WCTX = "LoginOptions=3&estsredirect=2&estsrequest=" + "rQQIARAA" + b64u(hashlib.sha512(b"wctx").digest() * 21)
"""As long as what Entra sends today: about 1,900 characters."""
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
_CSRF = re.compile(rb'name="csrf" value="([^"]+)"')
_CODE = re.compile(rb"<[^>]* data-code[^>]*>(.*?)</output>", re.S)
_PROVED = b'"state":"proved"'
_FORM = "application/x-www-form-urlencoded"


class Unexpected(Exception):
    """An answer that a sign-in does not meet. Says what came."""


@dataclass(frozen=True)
class Site:
    """Where the services listen, and under which names."""

    origins: Origins
    wsfed: Pool
    approval: Pool
    tenant: str

    @property
    def requests(self) -> int:
        """HTTP requests so far."""
        return self.wsfed.requests + self.approval.requests


@dataclass(frozen=True, slots=True)
class Owner:
    """Who signs in: the phone's key, the token of its session, and the cookies of the browser; none: a new browser."""

    key: Key
    session: str
    cookies: Mapping[str, str] = field(default_factory=dict)


def passive_path(tenant: str, upn: str) -> str:
    """Entra's request, as it is recorded, with that user name."""
    return (
        f"/t/{tenant}/wsfed?client-request-id=154104b2-8217-49ca-9b0b-642a61845f7e"
        f"&username={quote(upn, safe='')}&wa=wsignin1.0&wtrealm=urn%3afederation%3aMicrosoftOnline"
        f"&wctx={quote(WCTX, safe='')}"
    )


class SignIn:
    """One whole sign-in: `reach_phone`, then `approve`. Raises Unexpected, Broken, TimeoutError."""

    def __init__(self, site: Site, owner: Owner, clock: Callable[[], float] = time.perf_counter) -> None:
        self._site = site
        self._owner = owner
        self._clock = clock
        self._cookies = dict(owner.cookies)
        self._stream: Exchange | None = None
        self._approval = b""
        self._csrf = ""
        self._transaction = ""
        self.cookies = self._cookies
        self.looks = 0
        """How often the phone asked for its list."""
        self.page = b""
        """The page that carries the token to Microsoft."""

    async def whole(self) -> float:
        """The duration of the whole sign-in in seconds."""
        began = self._clock()
        async with asyncio.timeout(PATIENCE):
            await self.reach_phone()
            await self.approve()
        return self._clock() - began

    async def reach_phone(self) -> None:
        """Steps 1 to 6: until the phone has signed and only needs to send it. The page's stream is open."""
        key = self._owner.key
        begun = await self._get(passive_path(self._site.tenant, key.upn), expect=303)
        self._transaction = begun.location()
        page = await self._get(self._transaction)
        page = await self._post(
            f"{self._transaction}/push", {"csrf": _found(_CSRF, page)}, expect=200, by_script=True
        )
        self._csrf = _found(_CSRF, page)
        code = re.sub(r"<[^>]*>|\s", "", _found(_CODE, page))
        self._stream = await self._site.wsfed.begin(
            octets("GET", f"{self._transaction}/events", self._headers("text/event-stream")), marker=_PROVED
        )
        request = await self._look()
        context = rfc8785.dumps({**json.loads(request["context"]), "code": code}).decode()
        signed = assertion(key, hashlib.sha256(context.encode()).digest())
        body = json.dumps({"context": context, "credential": signed}).encode()
        path = f"/api/challenges/{request['id']}/approve"
        self._approval = octets("POST", path, self._phone_headers(), body, "application/json")

    async def approve(self) -> None:
        """Steps 6 to 11: the phone's answer leaves; the page hears of it and posts the form it has; the token comes."""
        assert self._stream is not None
        accepted = await self._site.approval.begin(self._approval)
        accepted.answer.add_done_callback(self._refused)
        await self._stream.seen
        answer = await self._post(f"{self._transaction}/token", {"csrf": self._csrf}, expect=200)
        if b'name="wresult"' not in answer.body:
            raise Unexpected(f"no token in {answer.body[:600]!r}")
        self.page = answer.body
        _check(await accepted.answer, 200)

    def _refused(self, accepted: "asyncio.Future[Answer]") -> None:
        """A refusal ends the waiting for the page: it will not hear of anything."""
        stream = self._stream
        if stream is not None and not stream.seen.done() and not accepted.exception():
            try:
                _check(accepted.result(), 200)
            except Unexpected as error:
                stream.seen.set_exception(error)

    async def _look(self) -> dict[str, str]:
        """Step 5: the one request in the list."""
        wait = FIRST_LOOK
        request = octets("GET", "/api/challenges", self._phone_headers())
        own = self._transaction.rpartition("/")[2]
        while True:
            await asyncio.sleep(wait)
            self.looks += 1
            answer = await self._site.approval.request(request)
            _check(answer, 200)
            for listed in json.loads(answer.body)["challenges"]:
                if json.loads(listed["context"])["transaction"] == own:
                    return dict(listed)
            wait *= 2

    async def _get(self, path: str, *, expect: int = 200) -> Answer:
        return self._kept(await self._site.wsfed.request(octets("GET", path, self._headers())), expect)

    async def _post(
        self, path: str, fields: dict[str, str], *, expect: int, by_script: bool = False
    ) -> Answer:
        headers = {**self._headers(), "Origin": self._site.origins.signin, "Sec-Fetch-Site": "same-origin"}
        if by_script:
            headers["X-Requested-With"] = "fetch"
        request = octets("POST", path, headers, urlencode(fields).encode(), _FORM)
        return self._kept(await self._site.wsfed.request(request), expect)

    def _kept(self, answer: Answer, expect: int) -> Answer:
        _check(answer, expect)
        self._cookies |= answer.cookies()
        return answer

    def _headers(self, accept: str = "text/html") -> dict[str, str]:
        return browser_headers(self._site.origins.authority(Host.SIGNIN), self._cookies, accept)

    def _phone_headers(self) -> dict[str, str]:
        return {
            "Host": self._site.origins.authority(Host.PHONE),
            "Origin": self._site.origins.phone,
            "Accept": "application/json",
            "Authorization": f"Bearer {self._owner.session}",
        }


def browser_headers(host: str, cookies: dict[str, str], accept: str = "text/html") -> dict[str, str]:
    """What a browser sends with each request, as far as a server reads it."""
    headers = {"Host": host, "User-Agent": AGENT, "Accept": accept, "Accept-Language": "en-GB,en;q=0.8"}
    if cookies:
        headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
    return headers


def _check(answer: Answer, expect: int) -> None:
    if answer.status != expect:
        text = re.sub(rb"\s+", b" ", re.sub(rb"<(style|head).*?</\1>|<[^>]*>", b"", answer.body, flags=re.S))
        raise Unexpected(f"{answer.status} instead of {expect}: {text[:600].decode(errors='replace')}")


def _found(pattern: re.Pattern[bytes], answer: Answer) -> str:
    found = pattern.search(answer.body)
    if found is None:
        raise Unexpected(f"no {pattern.pattern!r} in {answer.body[:1500]!r}")
    return html.unescape(found.group(1).decode())
