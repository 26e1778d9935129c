"""A passkey on the sign-in page (docs/flows/passkey.md): posted by our own script, answered in JSON."""

from dataclasses import dataclass

from aiohttp import web

from services.wsfed.domain.options import PageState
from services.wsfed.domain.proof import Assertion
from services.wsfed.handlers.passkeys import use_passkey
from services.wsfed.routes.context import RouteContext
from shared.crypto.assertion import MAX_CLIENT_DATA
from shared.errors import BadInput
from shared.ids import b64u, unb64u

MAX_CREDENTIAL_ID = 1023
"""Octets (Web Authentication Level 3, section 7.1, step 25)."""
MAX_SIGNATURE = 1024


@dataclass(frozen=True, slots=True)
class PasskeyRoutes:
    """Routes under `/signin/{transaction}/passkey`."""

    context: RouteContext

    def routes(self) -> list[web.RouteDef]:
        """The route of a passkey on the sign-in page."""
        return [web.post("/signin/{transaction}/passkey", self.use)]

    async def use(self, request: web.Request) -> web.Response:
        """Steps 4 to 6 of docs/flows/passkey.md: take the assertion, and answer JSON: proved, or the one refusal."""
        transaction, form = await self.context.posted(request)
        credential_id = _octets(form, "credential_id", MAX_CREDENTIAL_ID)
        assertion = Assertion(
            credential_id=b64u(credential_id),
            authenticator_data=_octets(form, "authenticator_data", MAX_CLIENT_DATA),
            client_data_json=_octets(form, "client_data_json", MAX_CLIENT_DATA),
            signature=_octets(form, "signature", MAX_SIGNATURE),
        )
        await use_passkey(self.context.deps, transaction, assertion)
        return web.json_response({"state": PageState.PROVED.value})


def _octets(form: dict[str, str], name: str, most: int) -> bytes:
    try:
        octets = unb64u(form.get(name, ""))
    except ValueError:
        octets = b""
    if not 0 < len(octets) <= most:
        raise BadInput("wsfed.passkey.malformed")
    return octets
