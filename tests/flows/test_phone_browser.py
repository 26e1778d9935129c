"""Both pages in a real Chromium: BlokKey on its own host on the phone, the sign-in page on the desk.

The whole system in one process on a real MongoDB. The phone is the page that people have, with a virtual authenticator;
its keys belong to the sign-in host, which is the RP ID, although the page is on the host below it.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, CDPSession, Page, expect

from deploy.local import tenant
from deploy.local.running_system import RunningSystem
from services.admin import handlers as admin
from tests.approval.handset import virtual_authenticator
from tests.flows.conftest import LocalSystem

pytestmark = [
    pytest.mark.integration,
    pytest.mark.xdist_group("chromium"),
    pytest.mark.asyncio(loop_scope="session"),
]

SIGN = """async ([challenge, rpId]) => {
  const octets = (text) =>
    Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  const text = (octets) => btoa(String.fromCharCode(...new Uint8Array(octets)))
    .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const publicKey = { challenge: octets(challenge), rpId, userVerification: "required" };
  const { rawId, response } = await navigator.credentials.get({ publicKey });
  return {
    credential_id: text(rawId),
    authenticator_data: text(response.authenticatorData),
    client_data_json: text(response.clientDataJSON),
    signature: text(response.signature),
  };
}"""
"""What a script in the phone's origin could have the key sign, if there were one."""
POST = """async ([url, fields]) => {
  const headers = { Accept: "application/json" };
  const answer = await fetch(url, { method: "POST", body: new URLSearchParams(fields), headers });
  return [answer.status, await answer.json()];
}"""


@dataclass
class Pair:
    """A phone and a desk of one person."""

    running_system: RunningSystem
    entra: str
    person: str
    phone: Page
    desk: Page
    devtools: CDPSession
    """Of the phone."""
    authenticator: str
    faults: list[str] = field(default_factory=list)

    @property
    def phone_origin(self) -> str:
        return self.running_system.settings.origins.phone

    async def heading(self, text: str) -> None:
        """What the phone shows."""
        await expect(self.phone.locator("section:not([hidden]) h1")).to_contain_text(text)

    async def press(self, name: str) -> None:
        """On the phone."""
        await self.phone.get_by_role("button", name=name, exact=True).click()

    async def enrol(self) -> None:
        """docs/flows/enrolment.md, and unlocked."""
        link = await admin.invite(self.running_system.admin, tenant.TENANT, self.person)
        await self.running_system.flush()
        await self.phone.goto(link.url)
        await self.press("Set up")
        await self.heading("This phone is ready")
        await self.press("Back to requests")
        await self.heading("No requests")

    async def start(self, button: str) -> str:
        """At Microsoft 365 (the stand-in), and the button of the sign-in page; the code that it shows."""
        await self.desk.goto(f"{self.entra}/start?username={self.person}")
        await self.desk.get_by_role("button", name=button).click()
        return "".join((await self.desk.locator("[data-code]").inner_text()).split())

    async def approve(self, code: str) -> None:
        await self.heading("Are you signing in to")
        await self.phone.get_by_label("Code from your sign-in page").fill(code)
        await self.press("Approve")
        await self.heading("Approved")

    async def arrived(self) -> None:
        """The token was accepted."""
        await self.desk.wait_for_url(f"{self.entra}/login.srf")
        body = self.desk.locator("body")
        await expect(body).to_contain_text(self.person)
        assert "AADSTS" not in await body.inner_text()

    async def move_key(self, tab: Page) -> None:
        """Put the phone's key into another tab, since a virtual authenticator belongs to one."""
        found = await self.devtools.send("WebAuthn.getCredentials", {"authenticatorId": self.authenticator})
        (credential,) = found["credentials"]
        devtools, authenticator = await virtual_authenticator(tab)
        await devtools.send(
            "WebAuthn.addCredential", {"authenticatorId": authenticator, "credential": credential}
        )

    async def scanned(self) -> str:
        """What the QR code on the desk says."""
        assert self.running_system.system is not None
        wsfed: Any = self.running_system.system.wired["wsfed"].dependencies
        transaction = await wsfed.transactions.get(urlsplit(self.desk.url).path.rpartition("/")[2])
        return f"{self.phone_origin}/#q={transaction.challenge.handle}"


@pytest_asyncio.fixture(loop_scope="session")
async def pair(local_system: LocalSystem, chromium: Browser) -> AsyncIterator[Pair]:
    contexts: list[BrowserContext] = [
        await chromium.new_context(viewport={"width": 390, "height": 844}),
        await chromium.new_context(),
    ]
    phone, desk = [await context.new_page() for context in contexts]
    devtools, authenticator = await virtual_authenticator(phone)
    person = await local_system.person()
    made = Pair(local_system.running_system, local_system.entra, person, phone, desk, devtools, authenticator)
    for page in (phone, desk):
        page.on("console", lambda said: made.faults.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: made.faults.append(str(error)))
    yield made
    for context in contexts:
        await context.close()


async def test_enrolment_push_with_code_and_back(pair: Pair) -> None:
    await pair.enrol()
    assert pair.phone.url == f"{pair.phone_origin}/"
    code = await pair.start("Send a request to my phone")
    await pair.approve(code)
    await pair.arrived()
    await pair.phone.goto("about:blank")
    await pair.phone.go_back()
    await pair.heading("No requests")
    assert pair.faults == []


async def test_qr_code_opens_the_request_on_the_phone(pair: Pair) -> None:
    await pair.enrol()
    code = await pair.start("Scan a QR code instead")
    await pair.phone.goto("about:blank")
    await pair.phone.goto(await pair.scanned())
    await pair.approve(code)
    await pair.arrived()
    assert pair.faults == []


async def test_two_tabs_of_the_phone_approve_once(pair: Pair) -> None:
    await pair.enrol()
    other = await pair.phone.context.new_page()
    await virtual_authenticator(other)
    await other.goto(pair.phone_origin)
    code = await pair.start("Send a request to my phone")
    await expect(other.locator("section:not([hidden]) h1")).to_contain_text("Are you signing in to")
    await pair.approve(code)
    await pair.arrived()
    await expect(other.locator("section:not([hidden]) h1")).to_contain_text("Already approved")


async def test_what_is_signed_on_the_phones_host_is_no_passkey_of_the_sign_in_page(pair: Pair) -> None:
    """The key is the same, the RP ID too; the browser writes the origin into what is signed."""
    await pair.enrol()
    await pair.desk.goto(f"{pair.entra}/start?username={pair.person}")
    csrf = await pair.desk.locator("input[name=csrf]").first.get_attribute("value")
    url = pair.desk.url
    form = pair.desk.locator("#passkey form")
    challenge, rp_id = [await form.get_attribute(name) for name in ("data-challenge", "data-rp-id")]
    assert challenge
    assert rp_id == urlsplit(url).hostname
    signed = await pair.phone.evaluate(SIGN, [challenge, rp_id])
    status, answer = await pair.desk.evaluate(POST, [f"{url}/passkey", {"csrf": csrf, **signed}])
    assert (status, answer["code"]) == (403, "passkey_refused")


async def test_what_is_signed_on_the_sign_in_host_approves_nothing(pair: Pair) -> None:
    """A script in the sign-in page's origin has the key sign the push's context, with the right code."""
    await pair.enrol()
    code = await pair.start("Send a request to my phone")
    await pair.heading("Are you signing in to")
    listed = await pair.phone.evaluate(
        """async () => {
          const { accounts } = await import(document.querySelector("link[href$='/storage.js']").href);
          const headers = { Authorization: `Bearer ${(await accounts())[0].token}` };
          return (await (await fetch("/api/challenges", { headers })).json()).challenges[0];
        }"""
    )
    facts = {**json.loads(listed["context"]), "code": code}
    context = json.dumps(dict(sorted(facts.items())), separators=(",", ":"), ensure_ascii=False)
    here = await pair.phone.context.new_page()
    await here.goto(f"{pair.running_system.settings.origin}/healthz")
    await pair.move_key(here)
    digest = await here.evaluate(
        """async (text) => {
          const octets = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
          return btoa(String.fromCharCode(...new Uint8Array(octets))).replaceAll("+", "-").replaceAll("/", "_");
        }""",
        context,
    )
    signed = await here.evaluate(SIGN, [digest.rstrip("="), urlsplit(here.url).hostname])
    credential = {
        "id": signed["credential_id"],
        "rawId": signed["credential_id"],
        "type": "public-key",
        "response": {
            "authenticatorData": signed["authenticator_data"],
            "clientDataJSON": signed["client_data_json"],
            "signature": signed["signature"],
        },
    }
    status, answer = await pair.phone.evaluate(
        """async ([id, body]) => {
          const headers = { "Content-Type": "application/json" };
          const options = { method: "POST", headers, body: JSON.stringify(body) };
          const answer = await fetch(`/api/challenges/${id}/approve`, options);
          return [answer.status, await answer.json()];
        }""",
        [listed["id"], {"context": context, "credential": credential}],
    )
    assert (status, answer["code"]) == (403, "assertion")


async def test_same_phone_the_sign_in_page_leads_to_its_own_request(pair: Pair) -> None:
    """Nobody can scan the screen of the phone in the hand: the link carries what the code does."""
    await pair.enrol()
    page = await pair.phone.context.new_page()
    await page.goto(f"{pair.entra}/start?username={pair.person}")
    await page.get_by_role("button", name="Scan a QR code instead").click()
    await expect(page.locator("[data-code]")).to_be_visible()
    code = "".join((await page.locator("[data-code]").inner_text()).split())
    link = await page.locator("a.button", has_text="Open BlokKey on this phone").get_attribute("href")
    assert link is not None
    assert link.startswith(f"{pair.phone_origin}/#q=")
    await pair.phone.goto("about:blank")
    await pair.phone.goto(link)
    await pair.approve(code)
    await page.wait_for_url(f"{pair.entra}/login.srf")
    assert "AADSTS" not in await page.locator("body").inner_text()
