"""What the relying party (Entra ID) asks for: the WS-Federation passive requests, parsed.

WS-Federation 1.2 section 13.2 names the parameters; Entra ID adds a few of its own. What we do not know is
ignored; what we know must be there once, be readable and fit. Nothing here says who the person is: the
names in `username` and `login_hint` are typed by anybody.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from shared.clouds import Cloud
from shared.errors import BadInput, TooLarge

WAUTH_MULTIPLE_AUTHN = "http://schemas.microsoft.com/claims/multipleauthn"
WAUTH_PASSWORD = frozenset(
    (
        "http://schemas.microsoft.com/ws/2008/06/identity/authenticationmethod/password",
        "https://schemas.microsoft.com/ws/2008/06/identity/authenticationmethod/password",
        "urn:oasis:names:tc:SAML:1.0:am:password",  # SAML 1.1 core section 7.1.1
        "urn:oasis:names:tc:SAML:2.0:ac:classes:Password",  # SAML 2.0 authentication context, Password
    )
)

MAXIMUM_PARAMETERS = 64
MAXIMUM_WCTX_OCTETS = 8 * 1024
MAXIMUM_VALUE_OCTETS = 2 * 1024
MAXIMUM_TOTAL_CHARACTERS = 32 * 1024
MAXIMUM_USERNAME_CHARACTERS = 320

_KNOWN = frozenset(
    (
        *("wa", "wtrealm", "wctx", "wreply", "wfresh", "wauth", "mfa_max_age"),
        *("username", "login_hint", "prompt", "mkt", "lc", "client-request-id"),
    )
)
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
# A BCP 47 tag or an LCID ([MS-LCID]), which is what lc usually carries.
_LOCALE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}|[0-9]{4,5}", re.ASCII)
_USER_NAME = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}")
_CORRELATION = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
# Cc breaks headers, logs and forms; Cs is what is left of octets that were not UTF-8, as is U+FFFD.
_GARBLED = frozenset(("Cc", "Cs"))
# Format characters (bidi overrides, zero width) and separators make a name look like another one.
_INVISIBLE = frozenset(("Cf", "Zl", "Zp", "Co", "Cn"))


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInRequest:
    """A sign-in request (`wa=wsignin1.0`).

    `wreply`: where the answer goes, always an entry of the allow-list. `wtrealm`: the realm of the tenant's cloud,
    which becomes the token's audience. `wctx`: to be returned byte for byte;
    None if it was not sent. `username`: a name to prefill, cleaned, never trusted. `max_age`: greatest age of an
    authentication (wfresh, minutes). `mfa_max_age`: the same for MFA (seconds). `locale`: a BCP 47 tag
    or an LCID, as sent. `correlation`: client-request-id, for the log.
    """

    wreply: str
    wtrealm: str
    wctx: str | None = None
    wfresh: int | None = None
    prompt_login: bool = False
    password_wanted: bool = False
    mfa_wanted: bool = False
    mfa_max_age: timedelta | None = None
    username: str | None = None
    locale: str | None = None
    correlation: str | None = None

    @property
    def fresh_required(self) -> bool:
        """Whether only an authentication that is made after this request answers it.

        Entra ID asks for a password whenever it wants a new authentication; we have none, so we take it so.
        """
        return self.wfresh == 0 or self.prompt_login or self.password_wanted

    @property
    def user_name(self) -> str:
        r"""The hint in lower case, if it has the form of a user name; empty otherwise, and the page asks for one.

        Entra passes on what somebody typed elsewhere, such as a bare domain or `CONTOSO\ada`.
        """
        return self.username.lower() if self.username and is_user_name(self.username) else ""

    @property
    def wants(self) -> str:
        """What a token must satisfy to answer the request, as one comparable text."""
        age = "" if self.mfa_max_age is None else int(self.mfa_max_age.total_seconds())
        again = "again" if self.fresh_required else "" if self.wfresh is None else self.wfresh
        return f"{'mfa' if self.mfa_wanted else ''}/{age}/{again}"

    @property
    def max_age(self) -> timedelta | None:
        """Greatest age of an authentication that may answer; None: no limit."""
        return None if self.wfresh is None else timedelta(minutes=self.wfresh)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignOutRequest:
    """`wa=wsignout1.0`. `wreply`: an entry of the allow-list, or None: then show our own page."""

    wreply: str | None = None
    correlation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignOutCleanupRequest:
    """`wa=wsignoutcleanup1.0`: clear the session and answer 200; never a redirect."""

    correlation: str | None = None


def parse_sign_out(
    parameters: Sequence[tuple[str, str]], *, reply_urls: Sequence[str]
) -> SignOutRequest | SignOutCleanupRequest | None:
    """The sign-out in these decoded parameters, whatever else they hold; None when they ask for none.

    Nothing that is foreign, repeated, too long or unreadable may keep anybody signed in at a shared computer: it only
    costs the way back. `reply_urls`: the allow-list for wreply.
    """
    actions = {value for name, value in parameters if name == "wa"}
    correlations = [value for name, value in parameters if name == "client-request-id"]
    correlation = _matching(_CORRELATION, correlations[0]) if len(correlations) == 1 else None
    if "wsignout1.0" in actions:
        replies = [value for name, value in parameters if name == "wreply"]
        wreply = replies[0] if len(replies) == 1 and replies[0] in reply_urls else None
        return SignOutRequest(wreply=wreply, correlation=correlation)
    if "wsignoutcleanup1.0" in actions:
        return SignOutCleanupRequest(correlation=correlation)
    return None


def parse_sign_in(parameters: Sequence[tuple[str, str]], *, cloud: Cloud) -> SignInRequest:
    """The sign-in request in these decoded query or form parameters. `cloud`: the tenant's.

    Raises BadInput (`parameter_repeated`, `parameter_garbled`, `parameter_invalid`, `wa_unknown`,
    `wtrealm_unknown`, `wctx_too_long`, `wreply_not_allowed`) and TooLarge (`too_many_parameters`,
    `parameters_too_long`). No message repeats what was sent.
    """
    known = _known_parameters(parameters)
    if known.get("wa") != "wsignin1.0":
        raise BadInput("wsfed.request.other_action", code="wa_unknown")
    if known.get("wtrealm") != cloud.realm:
        raise BadInput("wsfed.request.other_realm", code="wtrealm_unknown")
    wctx = known.get("wctx")
    if wctx is not None and len(wctx.encode()) > MAXIMUM_WCTX_OCTETS:
        raise BadInput("wsfed.request.wctx_too_long", code="wctx_too_long")
    wreply = known.get("wreply") or cloud.reply_urls[0]
    # Equality with a whole entry: by prefix, https://login.microsoftonline.com.evil.example would pass.
    if wreply not in cloud.reply_urls:
        raise BadInput("wsfed.request.wreply", code="wreply_not_allowed")
    methods = known.get("wauth", "").replace(",", " ").split()
    mfa_max_age = _number(known, "mfa_max_age")
    return SignInRequest(
        wreply=wreply,
        wtrealm=cloud.realm,
        wctx=wctx,
        wfresh=_number(known, "wfresh"),
        prompt_login="login" in known.get("prompt", "").split(),
        password_wanted=not WAUTH_PASSWORD.isdisjoint(methods),
        mfa_wanted=WAUTH_MULTIPLE_AUTHN in methods,
        mfa_max_age=None if mfa_max_age is None else timedelta(seconds=mfa_max_age),
        username=_clean_username(known.get("username")) or _clean_username(known.get("login_hint")),
        locale=_matching(_LOCALE, known.get("mkt")) or _matching(_LOCALE, known.get("lc")),
        correlation=_matching(_CORRELATION, known.get("client-request-id")),
    )


def is_user_name(text: str) -> bool:
    """Whether the text has the form of a userPrincipalName. Says nothing about whether there is such an account."""
    return bool(_USER_NAME.fullmatch(text)) and text.isprintable()


def _known_parameters(parameters: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The parameters we know, each once, readable and within its limit."""
    if len(parameters) > MAXIMUM_PARAMETERS:
        raise TooLarge("wsfed.request.too_many_parameters", code="too_many_parameters")
    # Counted in characters first: a cheap bound before anything is encoded.
    if sum(len(name) + len(value) for name, value in parameters) > MAXIMUM_TOTAL_CHARACTERS:
        raise TooLarge("wsfed.request.too_long", code="parameters_too_long")
    known: dict[str, str] = {}
    for name, value in parameters:
        if name not in _KNOWN:
            continue
        if name in known:
            # Two readers that take different ones of two values are how filters are passed.
            raise BadInput("wsfed.parameter.repeated", name=name, code="parameter_repeated")
        if not _is_text(value):
            # A form control's newline is rewritten by browsers, so wctx could not come back as it was.
            raise BadInput("wsfed.parameter.garbled", name=name, code="parameter_garbled")
        if name != "wctx" and len(value.encode()) > MAXIMUM_VALUE_OCTETS:
            raise TooLarge("wsfed.parameter.too_long", name=name, code="parameters_too_long")
        known[name] = value
    return known


def _is_text(value: str) -> bool:
    # Nearly every value is such text, and this check is a hundred times faster than the one below.
    if value.isascii() and value.isprintable():
        return True
    return "\ufffd" not in value and all(unicodedata.category(c) not in _GARBLED for c in value)


def _number(known: dict[str, str], name: str) -> int | None:
    value = known.get(name, "")
    if not value:
        return None
    if not _NUMBER.fullmatch(value):
        raise BadInput("wsfed.parameter.not_a_number", name=name, code="parameter_invalid")
    return int(value)


def _matching(pattern: re.Pattern[str], value: str | None) -> str | None:
    return value if value is not None and pattern.fullmatch(value) else None


def _clean_username(value: str | None) -> str | None:
    """A name fit to be shown in a field: no invisible characters, no outer space; None if nothing is left."""
    if value is None:
        return None
    cleaned = "".join(c for c in value if unicodedata.category(c) not in _INVISIBLE).strip()
    return cleaned if 0 < len(cleaned) <= MAXIMUM_USERNAME_CHARACTERS else None
