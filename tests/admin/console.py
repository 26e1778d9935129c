"""The console without sockets: a browser with a cookie jar and a passkey before admin's own application."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from unittest import mock
from urllib.parse import urlencode, urlsplit

from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.streams import StreamReader
from aiohttp.test_utils import make_mocked_request
from bs4 import BeautifulSoup, Tag

from deploy.standins.phone.authenticator import (
    HONEST,
    Key,
    Tamper,
    assertion,
    attestation,
    make_private_key,
)
from services.admin.domain.roles import Role
from services.admin.handlers.console_team import NewAdministrator, TeamLink, invite_by_operator
from shared.ids import b64u, unb64u
from tests.admin.conftest import CONTOSO, AdminSystem

ORIGIN = "http://console.localhost:8365"
RP_ID = "console.localhost"


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def soup(self) -> BeautifulSoup:
        return BeautifulSoup(self.text, "html.parser")

    @property
    def location(self) -> str:
        return self.headers.get("Location", "")

    @property
    def words(self) -> str:
        """The text of the page as a person reads it."""
        main = self.soup.find("main")
        return " ".join(main.get_text(" ").split()) if main else ""

    def form(self, action: str) -> dict[str, str]:
        """The fields of the form that is posted there, as they stand."""
        found = self.soup.find("form", action=action, method="post")
        assert isinstance(found, Tag), f"no form to {action}"
        return fields_of(found)

    def passkey_form(self) -> Tag:
        found = self.soup.find("form", attrs={"data-passkey": True})
        assert isinstance(found, Tag)
        return found

    @property
    def actions(self) -> set[str]:
        """Where the forms and links of the page lead."""
        forms = {str(each["action"]) for each in self.soup.find_all("form")}
        return forms | {str(each["href"]) for each in self.soup.find_all("a")}


def fields_of(form: Tag) -> dict[str, str]:
    """The fields of a form as a browser would send them."""
    return {
        str(each["name"]): str(each.get("value", ""))
        for each in form.find_all("input")
        if each.get("name") and (each.get("type") not in ("checkbox", "radio") or each.has_attr("checked"))
    }


@dataclass
class ConsoleBrowser:
    """One browser, with the passkeys that its device holds."""

    system: AdminSystem
    cookies: dict[str, str] = field(default_factory=dict)
    key: Key | None = None
    lang: str = "en"

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.ask("GET", path, None, headers)

    async def post(self, path: str, fields: Mapping[str, str], **headers: str) -> Answer:
        return await self.ask("POST", path, fields, {"Sec-Fetch-Site": "same-origin", **headers})

    async def ask(
        self, method: str, path: str, fields: Mapping[str, str] | None, headers: Mapping[str, str]
    ) -> Answer:
        app = self.system.web
        app.pre_freeze()
        sent = {"Host": urlsplit(ORIGIN).netloc, "Accept-Language": self.lang, "Accept": "text/html"}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        body = b""
        if fields is not None:
            body = urlencode(fields).encode()
            sent |= {
                "Content-Type": "application/x-www-form-urlencoded",
                "Content-Length": str(len(body)),
            }
        payload = StreamReader(mock.Mock(spec=BaseProtocol), 2**16)
        payload.feed_data(body)
        payload.feed_eof()
        request = make_mocked_request(
            method, path, headers={**sent, **{k.replace("_", "-"): v for k, v in headers.items()}},
            payload=payload, app=app, client_max_size=64 * 1024,
        )  # fmt: skip
        try:
            response = await app._handle(request)
        except web.HTTPException as answer:
            response = answer
        assert isinstance(response, web.Response)
        for name, morsel in response.cookies.items():
            if str(morsel.get("max-age")) == "0":
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = morsel.value
        return Answer(response.status, dict(response.headers), response.text or "")

    async def press(self, page: Answer, action: str, **fields: str) -> Answer:
        """Post the form of that page with those fields changed."""
        return await self.post(action, {**page.form(action), **fields})

    # passkeys

    async def join(self, link: str, tamper: Tamper = HONEST, **fields: str) -> Answer:
        """Open a one-time link and make a passkey with it."""
        parts = urlsplit(link)
        page = await self.get(parts.path)
        if page.status != 200:
            return page
        form = page.passkey_form()
        given = fields_of(form)
        made = self.registration(form, given["administrator"], tamper)
        return await self.post(parts.path, {**given, **made, "secret": parts.fragment, **fields})

    def registration(self, form: Tag, user: str, tamper: Tamper = HONEST) -> dict[str, str]:
        """What a new passkey answers to that form. The browser has it from then on."""
        ids = self.system.world.ids
        self.key = Key(
            credential_id=b64u(ids.random_bytes(16)),
            private_key=make_private_key("ES256", ids),
            origin=ORIGIN,
            rp_id=RP_ID,
            tenant="",
            account=user,
            sign_count=1,
        )
        made = attestation(self.key, unb64u(str(form["data-challenge"])), tamper)["response"]
        return {
            "credential_id": self.key.credential_id,
            "client_data_json": made["clientDataJSON"],
            "attestation_object": made["attestationObject"],
        }

    def assertion(self, form: Tag, tamper: Tamper = HONEST) -> dict[str, str]:
        """What the browser's passkey answers to that form."""
        assert self.key is not None
        self.key = replace(self.key, sign_count=self.key.sign_count + 1)
        made: dict[str, Any] = assertion(self.key, unb64u(str(form["data-challenge"])), tamper)
        return {
            "credential_id": made["id"],
            "client_data_json": made["response"]["clientDataJSON"],
            "authenticator_data": made["response"]["authenticatorData"],
            "signature": made["response"]["signature"],
        }

    async def sign_in(self, to: str = "", tamper: Tamper = HONEST) -> Answer:
        page = await self.get(f"/sign-in{'?to=' + to if to else ''}")
        form = page.passkey_form()
        return await self.post("/sign-in", {**page.form("/sign-in"), **self.assertion(form, tamper)})

    async def step_up(self, to: str = "/", tamper: Tamper = HONEST) -> Answer:
        page = await self.get(f"/step-up?to={to}")
        made = self.assertion(page.passkey_form(), tamper)
        return await self.post("/step-up", {**page.form("/step-up"), **made})

    @property
    def csrf(self) -> str:
        """Set by `signed_in`: the token for this session's forms."""
        found = re.search(r'name="csrf" value="([^"]+)"', self._page)
        assert found
        return found[1]

    _page: str = ""


async def link_for(
    system: AdminSystem,
    role: Role = Role.OWNER,
    name: str = "Olga Owner",
    tenant: str = CONTOSO,
    upn: str = "",
) -> TeamLink:
    email = f"{name.split()[0].lower()}@admins.example"
    return await invite_by_operator(system.deps, tenant, NewAdministrator(name, email, role, upn))


async def signed_in(
    system: AdminSystem,
    role: Role = Role.OWNER,
    name: str = "Olga Owner",
    tenant: str = CONTOSO,
    upn: str = "",
) -> ConsoleBrowser:
    """A browser in which a new administrator of that tenant is signed in."""
    browser = ConsoleBrowser(system)
    joined = await browser.join((await link_for(system, role, name, tenant, upn)).url)
    assert joined.status == 303, joined.words
    browser._page = (await browser.get("/account")).text
    return browser
