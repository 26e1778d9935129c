"""What Entra's error page would say: an AADSTS code, its meaning, and (ours, for the developer) the detail."""

import json
from enum import IntEnum
from pathlib import Path
from typing import Any


class Code(IntEnum):
    """The AADSTS codes this stand-in uses. `MEANING` has a sentence for each."""

    BAD_MESSAGE = 20012
    BAD_SIGNATURE = 50006
    BAD_ASSERTION = 50008
    USER_DISABLED = 50057
    MFA_REQUIRED = 50074
    MFA_REQUIRED_HERE = 50076
    MFA_TOO_OLD = 50078
    ISSUER_UNKNOWN = 50107
    USER_NOT_FOUND = 51004
    AUTHENTICATION_TOO_OLD = 70044
    KEY_NOT_REGISTERED = 5000811
    UPN_DOMAIN = 5000820


WORDS: dict[str, dict[str, Any]] = {
    language: json.loads((Path(__file__).parent / "words" / f"{language}.json").read_text("utf-8"))
    for language in ("en", "fr")
}
"""The texts of the pages by language and name."""

MEANING: dict[Code, str] = {code: WORDS["en"]["meaning"][str(code.value)] for code in Code}


class EntraError(Exception):
    """The sign-in is refused. `code` is Microsoft's number, `message` what Entra's page would say with it."""

    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(f"AADSTS{code.value}: {MEANING[code]} ({detail})")
        self.code = code
        self.detail = detail

    @property
    def message(self) -> str:
        return str(self)
