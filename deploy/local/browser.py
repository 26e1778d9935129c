"""A browser without a screen: cookies, redirects and forms over HTTP. For the demo, tests and the benchmark.

Cookies are kept by hand: aiohttp's jar would not send Secure ones over http to localhost.
"""

import ssl
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import SimpleCookie
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urljoin, urlsplit

import aiohttp
import lxml.html
from yarl import URL

from deploy.loopback import LoopbackResolver

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
MAX_REDIRECTS = 10
REDIRECTS = (301, 302, 303, 307, 308)
REPEATED = (307, 308)
"""Those after which the same request is sent again (RFC 9110, sections 15.4.8 and 15.4.9)."""


class Unexpected(Exception):
    """The page is not what the walk expected. Says what came instead."""


@dataclass(frozen=True, slots=True)
class Form:
    """A form on a page: where it goes and what is in it."""

    action: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Page:
    """An answer after all redirects."""

    url: str
    status: int
    text: str
    headers: Mapping[str, str]

    def forms(self) -> list[Form]:
        """All forms, actions made absolute."""
        forms = lxml.html.fromstring(self.text).forms
        return [
            Form(urljoin(self.url, form.action or ""), {k: v or "" for k, v in form.fields.items()})
            for form in forms
        ]

    def form(self, ending: str) -> Form:
        """The first form whose action ends so. Raises Unexpected."""
        for form in self.forms():
            if urlsplit(form.action).path.endswith(ending):
                return form
        raise Unexpected(f"{self.status} {self.url}: no form for {ending} in\n{self.words()[:600]}")

    def code(self) -> str:
        """The code that the page shows. Raises Unexpected."""
        for element in lxml.html.fromstring(self.text).xpath("//*[@data-code]"):
            return "".join(element.text_content().split())
        raise Unexpected(f"{self.status} {self.url}: no code in\n{self.words()[:600]}")

    def state(self) -> str:
        """The state in which a sign-in page says it is; empty on any other page."""
        return "".join(lxml.html.fromstring(self.text).xpath("//*[@id='page']/@data-state"))

    def words(self) -> str:
        """The page's text as a person would read it."""
        body = lxml.html.fromstring(self.text).find("body")
        return " ".join(("" if body is None else str(body.text_content())).split())


class Browser:
    """One browser window with its own cookies. Use as an async context manager.

    `ca`: certificates (PEM) to trust for https instead of the system's.
    """

    def __init__(self, *, agent: str = AGENT, ca: Path | None = None) -> None:
        self._cookies: dict[str, dict[str, str]] = defaultdict(dict)
        self._agent = agent
        self._tls = ssl.create_default_context(cafile=ca) if ca else True
        self.requests = 0

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=LoopbackResolver()),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=30),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def get(self, url: str, *, headers: Mapping[str, str] | None = None, follow: bool = True) -> Page:
        """Open an address. Redirects are followed unless `follow` is False."""
        return await self._go("GET", url, None, headers or {}, follow)

    async def post(
        self,
        url: str,
        fields: Mapping[str, str],
        *,
        headers: Mapping[str, str] | None = None,
        follow: bool = True,
    ) -> Page:
        """Send a form, as if from a page of the same origin."""
        return await self._go("POST", url, fields, headers or {}, follow)

    async def submit(self, form: Form, **extra: str) -> Page:
        """Send a form of a page, with fields filled in."""
        return await self.post(form.action, {**form.fields, **extra})

    async def _go(
        self,
        method: str,
        url: str,
        fields: Mapping[str, str] | None,
        headers: Mapping[str, str],
        follow: bool,
    ) -> Page:
        for _ in range(MAX_REDIRECTS):
            parts = urlsplit(url)
            target = parts._replace(fragment="").geturl()
            cookies = self._cookies[parts.hostname or ""]
            sent = {"User-Agent": self._agent, "Accept": "text/html", **headers}
            if cookies:
                sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
            self.requests += 1
            async with self._session.request(
                method,
                URL(target, encoded=True),
                data=fields,
                headers=sent,
                allow_redirects=False,
                ssl=self._tls,
            ) as response:
                self._keep(cookies, response.headers.getall("Set-Cookie", []))
                if follow and response.status in REDIRECTS:
                    url = urljoin(url, response.headers["Location"])
                    if response.status not in REPEATED:
                        method, fields = "GET", None
                    continue
                return Page(url, response.status, await response.text(), dict(response.headers))
        raise Unexpected(f"more than {MAX_REDIRECTS} redirects, last to {url}")

    @staticmethod
    def _keep(cookies: dict[str, str], lines: list[str]) -> None:
        for line in lines:
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0":
                    cookies.pop(name, None)
                else:
                    cookies[name] = morsel.value
