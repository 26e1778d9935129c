"""An administrator's browser before the console, with a passkey in software, as its `passkeys.js` would ask for one."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import lxml.html

from deploy.local.browser import Browser, Page, Unexpected
from deploy.standins.phone.authenticator import Key, assertion, attestation, make_private_key
from shared.ids import Ids, b64u, unb64u


@dataclass(frozen=True)
class Administrator:
    """Steps of docs/flows/console-sign-in.md. `link`: the one-time link, with its secret in the fragment."""

    browser: Browser
    link: str
    ids: Ids

    async def join(self) -> tuple[Page, Key]:
        """Steps 2 to 5: open the link and make a passkey; the first page, and the passkey. Raises Unexpected."""
        parts = urlsplit(self.link)
        page = await self.browser.get(self.link)
        asked = _asked(page)
        key = Key(
            credential_id=b64u(self.ids.random_bytes(16)),
            private_key=make_private_key("ES256", self.ids),
            origin=f"{parts.scheme}://{parts.netloc}",
            rp_id=asked["data-rp-id"],
            tenant="",
            account=asked["data-user"],
        )
        made = attestation(key, unb64u(asked["data-challenge"]))
        return await self.browser.submit(page.form(parts.path), secret=parts.fragment, **_fields(made)), key

    async def sign_in(self, page: Page, key: Key) -> Page:
        """Steps 6 and 7, from a page that asks for it. Raises Unexpected."""
        made = assertion(key, unb64u(_asked(page)["data-challenge"]))
        return await self.browser.submit(page.form("/sign-in"), **_fields(made))


def _asked(page: Page) -> dict[str, str]:
    """What the page asks a passkey for."""
    for form in lxml.html.fromstring(page.text).xpath("//form[@data-passkey]"):
        return dict(form.attrib)
    raise Unexpected(f"{page.status} {page.url}: asks for no passkey in\n{page.words()[:600]}")


def _fields(made: dict[str, Any]) -> dict[str, str]:
    """A passkey's answer as the form's hidden fields carry it."""
    names = {
        "clientDataJSON": "client_data_json",
        "attestationObject": "attestation_object",
        "authenticatorData": "authenticator_data",
        "signature": "signature",
    }
    answer = {names[name]: value for name, value in made["response"].items() if name in names}
    return {"credential_id": made["id"], **answer}
