"""Reads the two PowerShell scripts by which Blok365 federates a domain, and undoes that.

It executes nothing. It knows a script by everything in it but the values: that must be, character by character, one of
the texts in `FORMS`. Of the values it takes only literal texts, in the one form below, and refuses anything else:

    'Contoso'    'O''Brien'    'Caf' + [char]0x00E9    '' + [char]0xD83D + [char]0xDE00

This is a reading of its own, which shares nothing with what writes the scripts.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

MAX_SCRIPT = 64 * 1024  # octets
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Kind = Literal["federate", "back-out"]

FORMS: Mapping[str, Kind] = {
    "d2452ede9a24489dfc9ae26806024dc8f94f0eec3502562999f12432db47695d": "federate",
    "c54218897db410cdc0a4ac05e55efde1c12e2319620cae595652e6e172bdca71": "back-out",
}
"""SHA-256 of a script without its values, lines ended by LF: what it does."""

SETTINGS = frozenset(
    {
        "DisplayName",
        "IssuerUri",
        "PassiveSignInUri",
        "ActiveSignInUri",
        "SignOutUri",
        "MetadataExchangeUri",
        "SigningCertificate",
        "NextSigningCertificate",
        "PreferredAuthenticationProtocol",
        "FederatedIdpMfaBehavior",
        "PromptLoginBehavior",
    }
)
"""The parameters of New-MgDomainFederationConfiguration that a script may set."""
OPTIONAL = frozenset({"NextSigningCertificate"})

_TEXT = r"'(?:[\x20-\x26\x28-\x7e]|'')*'"
_LITERAL = rf"{_TEXT}(?: \+ (?:{_TEXT}|\[char\]0x[0-9A-F]{{4}}))*"
_VALUES = re.compile(
    rf"^\$Domain = (?P<domain>{_LITERAL})\n"
    rf"\$Environment = (?P<environment>{_LITERAL})\n"
    rf"(?:\$Settings = \[ordered\]@\{{\n(?P<settings>(?:    [A-Za-z]+ = {_LITERAL}\n)+)\}}\n"
    rf"|\$IssuerUri = (?P<issuer>{_LITERAL})\n)",
    re.MULTILINE,
)
_PIECE = re.compile(rf"(?P<text>{_TEXT})|\[char\]0x(?P<unit>[0-9A-F]{{4}})")


class ScriptRefused(Exception):
    """It is not one of the two scripts. `reason`: a name in the catalogue of pages."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Script:
    """What a script would do, and with what. `settings` is empty for the back-out twin."""

    kind: Kind
    domain: str
    environment: str
    issuer_uri: str
    settings: Mapping[str, str]


def read_script(octets: bytes) -> Script:
    """The script in a file, or pasted. Raises ScriptRefused."""
    if len(octets) > MAX_SCRIPT:
        raise ScriptRefused("script_too_long")
    try:
        text = octets.removeprefix(BYTE_ORDER_MARK).decode("ascii")
    except UnicodeDecodeError as error:
        raise ScriptRefused("script_not_ascii") from error
    # A page's text field changes line ends, and what is pasted may have lost the last one.
    text = text.replace("\r\n", "\n").strip() + "\n"
    found = _VALUES.search(text)
    if found is None:
        raise ScriptRefused("script_no_values")
    rest = text[: found.start()] + text[found.end() :]
    kind = FORMS.get(hashlib.sha256(rest.encode()).hexdigest())
    if kind is None or (kind == "federate") != (found["settings"] is not None):
        raise ScriptRefused("script_unknown_form")
    settings = _settings(found["settings"] or "")
    if kind == "federate" and not SETTINGS - OPTIONAL <= settings.keys() <= SETTINGS:
        raise ScriptRefused("script_other_settings")
    return Script(
        kind=kind,
        domain=_value(found["domain"]),
        environment=_value(found["environment"]),
        issuer_uri=settings["IssuerUri"] if kind == "federate" else _value(found["issuer"]),
        settings=settings,
    )


def _settings(lines: str) -> dict[str, str]:
    """Raises ScriptRefused where a name stands twice: PowerShell refuses such a table, too."""
    pairs = [line.strip().split(" = ", 1) for line in lines.splitlines()]
    settings = {name: _value(text) for name, text in pairs}
    if len(settings) != len(pairs):
        raise ScriptRefused("script_other_settings")
    return settings


def _value(literal: str) -> str:
    """The text of a literal. Halves of a surrogate pair become one character. Raises ScriptRefused for a lone one."""
    units = b"".join(
        found["text"][1:-1].replace("''", "'").encode("utf-16-be")
        if found["text"] is not None
        else bytes.fromhex(found["unit"])
        for found in _PIECE.finditer(literal)
    )
    try:
        return units.decode("utf-16-be")
    except UnicodeDecodeError as error:
        raise ScriptRefused("script_no_text") from error
