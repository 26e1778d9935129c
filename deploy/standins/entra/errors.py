"""What Entra's error page would say: an AADSTS code, its meaning, and (ours, for the developer) the detail."""

from enum import IntEnum


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


MEANING: dict[Code, str] = {
    Code.BAD_MESSAGE: "The WS-Federation message is not valid.",
    Code.BAD_SIGNATURE: "The signature of the token is not valid.",
    Code.BAD_ASSERTION: "The SAML assertion is missing or wrong.",
    Code.USER_DISABLED: "The user's account is disabled.",
    Code.MFA_REQUIRED: "Multifactor authentication is wanted, and the token doesn't say that it was done.",
    Code.MFA_REQUIRED_HERE: "This domain's MFA is done by Entra itself; the stand-in stops here.",
    Code.MFA_TOO_OLD: "The multifactor authentication is older than was asked for.",
    Code.ISSUER_UNKNOWN: "No federated domain has this issuer.",
    Code.USER_NOT_FOUND: "The directory has no such user.",
    Code.AUTHENTICATION_TOO_OLD: "The authentication is older than was asked for.",
    Code.KEY_NOT_REGISTERED: "The key that signed the token is not registered for this domain.",
    Code.UPN_DOMAIN: "Blocked by the federated token validation policy: "
    "the user's domain is not the federated domain.",
}


class EntraError(Exception):
    """The sign-in is refused. `code` is Microsoft's number, `message` what Entra's page would say with it."""

    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(f"AADSTS{code.value}: {MEANING[code]} ({detail})")
        self.code = code
        self.detail = detail

    @property
    def message(self) -> str:
        return str(self)
