"""The requests Entra sends: WS-Federation 1.2 section 13 (passive), in the shapes seen in real traffic.

Parameters, their order, the empty ones and the lower-case percent escapes follow captures of browsers on
their way from login.microsoftonline.com to an AD FS. `estsrequest` is opaque to everybody but Entra; here
it is random, with the first characters the real one has.
"""

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict, Unpack
from urllib.parse import quote

from deploy.standins.entra.settings import FederationSettings
from shared.clock import iso_millis
from shared.ids import Ids, b64u

WTREALM = "urn:federation:MicrosoftOnline"
WAUTH_PASSWORD = "http://schemas.microsoft.com/ws/2008/06/identity/authenticationmethod/password"  # noqa: S105
MULTIPLEAUTHN = "http://schemas.microsoft.com/claims/multipleauthn"
CCS_REPLY = "https://ccs.login.microsoftonline.com/ccs/login.srf"

Fields = list[tuple[str, str]]

_WCTX_HEAD = "LoginOptions=3&estsredirect=2&estsrequest="
_ESTS_HEAD = "rQQIARAA"


@dataclass(frozen=True)
class PendingRequest:
    """A request that waits for its answer: what was asked decides what is enough.

    `max_age_seconds` (wfresh) counts back from `created`, 0 = authenticate again. `mfa_max_age_seconds` counts
    back from the moment of the answer; what was done after `created` is never too old. None = no such demand.
    """

    domain: str
    wctx: str
    created: datetime
    username: str = ""
    mfa_wanted: bool = False
    max_age_seconds: int | None = None
    mfa_max_age_seconds: int | None = None
    client_request_id: str = ""


def make_wctx(ids: Ids, size: int = 2048) -> str:
    """An opaque context of exactly `size` characters. Raises ValueError when `size` is under 64."""
    room = size - len(_WCTX_HEAD) - len(_ESTS_HEAD)
    if size < 64:
        raise ValueError("a wctx of Entra has 64 characters or more")
    return _WCTX_HEAD + _ESTS_HEAD + b64u(ids.random_bytes(room))[:room]


def make_client_request_id(ids: Ids) -> str:
    """A GUID, as in the client-request-id parameter."""
    return str(uuid.UUID(bytes=ids.random_bytes(16), version=4))


class RequestOptions(TypedDict, total=False):
    """What one request may carry beside the usual. Absent = the parameter is left out; "" sends it empty."""

    wctx: str
    """The opaque context; without it one of `wctx_size` characters (2048) is made."""
    wctx_size: int
    client_request_id: str
    """A GUID; without it one is made."""
    wct: datetime
    wfresh: str
    """Minutes as decimal digits."""
    wauth: str
    mfa_max_age: int
    """Seconds."""
    prompt: str
    wreply: str
    mkt: str
    lc: str
    extra: Sequence[tuple[str, str]]


def passive_fields(username: str, *, ids: Ids, **options: Unpack[RequestOptions]) -> Fields:
    """The parameters of one wsignin1.0 request, in Entra's order."""
    wctx = options.get("wctx")
    wct = options.get("wct")
    mfa_max_age = options.get("mfa_max_age")
    optional: list[tuple[str, str | None]] = [
        ("wct", None if wct is None else iso_millis(wct)),
        ("wauth", options.get("wauth")),
        ("mfa_max_age", None if mfa_max_age is None else str(mfa_max_age)),
        ("wfresh", options.get("wfresh")),
        ("prompt", options.get("prompt")),
        ("wreply", options.get("wreply")),
    ]
    return [
        ("client-request-id", options.get("client_request_id") or make_client_request_id(ids)),
        ("username", username),
        ("wa", "wsignin1.0"),
        ("wtrealm", WTREALM),
        ("wctx", make_wctx(ids, options.get("wctx_size", 2048)) if wctx is None else wctx),
        ("cbcxt", ""),
        ("popupui", ""),
        ("mkt", options.get("mkt", "")),
        ("lc", options.get("lc", "")),
        *((name, value) for name, value in optional if value is not None),
        *options.get("extra", ()),
    ]


def passive_request(
    settings: FederationSettings, username: str, *, ids: Ids, **options: Unpack[RequestOptions]
) -> str:
    """The URL a browser is sent to."""
    return to_url(settings.passive_sign_in_uri, passive_fields(username, ids=ids, **options))


def to_url(uri: str, fields: Sequence[tuple[str, str]]) -> str:
    """`uri` with the fields as its query, escaped as Entra does: lower-case hex, except wctx's first `%3D`."""
    pairs = (f"{name}={_escape(value)}" for name, value in fields)
    query = "&".join(pairs).replace("wctx=LoginOptions%3d", "wctx=LoginOptions%3D", 1)
    return f"{uri}{'&' if '?' in uri else '?'}{query}"


def _escape(value: str) -> str:
    return re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), quote(value, safe="-_.!*()"))


def prompt_fields(settings: FederationSettings) -> Fields:
    """What an application's prompt=login becomes for this domain (Graph promptLoginBehavior)."""
    match settings.prompt_login_behavior:
        case "translateToFreshPasswordAuthentication":
            return [("wauth", WAUTH_PASSWORD), ("wfresh", "0")]
        case "nativeSupport":
            return [("prompt", "login")]
        case "disabled":
            return []


def _desktop_browser(username: str, ids: Ids) -> Fields:
    return passive_fields(username, ids=ids, mkt="en-US")


def _desktop_browser_without_hint(username: str, ids: Ids) -> Fields:  # noqa: ARG001 - that is the shape
    return passive_fields("", ids=ids)


def _forced_password(username: str, ids: Ids) -> Fields:
    return passive_fields(username, ids=ids, wauth=WAUTH_PASSWORD, wfresh="0")


def _forced_prompt(username: str, ids: Ids) -> Fields:
    return passive_fields(username, ids=ids, prompt="login", extra=[("login_hint", username)])


def _mfa(username: str, ids: Ids) -> Fields:
    return passive_fields(username, ids=ids, wauth=MULTIPLEAUTHN, mfa_max_age=3600)


def _windows_setup(username: str, ids: Ids) -> Fields:
    extra = [("cxhflow", "TB"), ("cxhplatformversion", "10.0.22631"), ("RedirectToIdentityProvider", "")]
    return passive_fields(username, ids=ids, mkt="de-DE", lc="1031", wfresh="0", extra=extra)


def _mobile_web_view(username: str, ids: Ids) -> Fields:
    extra = [("login_hint", username), ("haschrome", "1"), ("x-client-SKU", "MSAL.iOS")]
    return passive_fields(username, ids=ids, mkt="fr-FR", lc="1036", wctx_size=3072, extra=extra)


def _ccs_reply(username: str, ids: Ids) -> Fields:
    return passive_fields(username, ids=ids, wreply=CCS_REPLY, mkt="en-US", lc="1033")


def _old_portal(username: str, ids: Ids) -> Fields:
    """An old bookmark: no client-request-id, an empty wfresh, whr, another kind of wctx."""
    return [
        ("cbcxt", ""),
        ("popupui", ""),
        ("vv", ""),
        ("username", username),
        ("mkt", ""),
        ("lc", "1033"),
        ("wfresh", ""),
        ("whr", username.rpartition("@")[2]),
        ("wa", "wsignin1.0"),
        ("wtrealm", WTREALM),
        ("wctx", "bk=1421950828&LoginOptions=3&tag=" + b64u(ids.random_bytes(24))),
    ]


VARIANTS = {
    "desktop_browser": _desktop_browser,
    "desktop_browser_without_hint": _desktop_browser_without_hint,
    "forced_password": _forced_password,
    "forced_prompt": _forced_prompt,
    "mfa": _mfa,
    "windows_setup": _windows_setup,
    "mobile_web_view": _mobile_web_view,
    "ccs_reply": _ccs_reply,
    "old_portal": _old_portal,
}
"""Shapes of real requests by name: (username, ids) -> fields."""


def variant_request(settings: FederationSettings, variant: str, username: str, *, ids: Ids) -> str:
    """The URL of one of `VARIANTS`. Raises KeyError for another name."""
    return to_url(settings.passive_sign_in_uri, VARIANTS[variant](username, ids))


def with_field(fields: Sequence[tuple[str, str]], name: str, value: str) -> Fields:
    """The same fields with one of them set: in its place, or at the end when it was not there."""
    if any(each == name for each, _ in fields):
        return [(each, value if each == name else old) for each, old in fields]
    return [*fields, (name, value)]


def sign_out_request(
    settings: FederationSettings, *, wreply: str | None = None, cleanup: bool = False
) -> str:
    """The sign-out URL (wsignout1.0, or wsignoutcleanup1.0). Raises ValueError where no signOutUri is set."""
    if settings.sign_out_uri is None:
        raise ValueError("this domain has no signOutUri")
    fields: Fields = [("wa", "wsignoutcleanup1.0" if cleanup else "wsignout1.0"), ("wtrealm", WTREALM)]
    if wreply is not None:
        fields.append(("wreply", wreply))
    return to_url(settings.sign_out_uri, fields)


def remember(domain: str, fields: Sequence[tuple[str, str]], created: datetime) -> PendingRequest:
    """What to expect of the answer to these fields. Raises ValueError for a wfresh that is no number."""
    values = dict(fields)
    wauth, wfresh, mfa_max_age = (values.get(name, "") for name in ("wauth", "wfresh", "mfa_max_age"))
    again = wauth == WAUTH_PASSWORD or values.get("prompt") == "login"
    return PendingRequest(
        domain=domain,
        wctx=values["wctx"],
        created=created,
        username=values.get("username", ""),
        mfa_wanted=wauth == MULTIPLEAUTHN,
        max_age_seconds=0 if again else int(wfresh) * 60 if wfresh else None,
        mfa_max_age_seconds=int(mfa_max_age) if mfa_max_age else None,
        client_request_id=values.get("client-request-id", ""),
    )
