"""Answers to the Entra stand-in: a good one by default, and ways to spoil one thing in it."""

from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from deploy.standins.entra.errors import MEANING, Code, EntraError
from deploy.standins.entra.requests import PendingRequest
from deploy.standins.entra.settings import Directory, Federations, FederationSettings, User
from deploy.standins.entra.verify import ReplayMemory, SignedInUser, verify_response
from tests.standins.entra_tokens import NOW, Token, certificate_text, once, resigned

UPN_VALUE = "<saml:AttributeValue>ada@contoso.example</saml:AttributeValue>"
WCTX = "LoginOptions=3&estsredirect=2&estsrequest=rQQIARAA-é<>\"'&amp;%3d+ _"


def federation(domain: str = "contoso.example", **changes: object) -> FederationSettings:
    name = domain.partition(".")[0]
    keys = {"signing_certificate": "current", "next_signing_certificate": "next"}
    if name != "contoso":
        keys = {"signing_certificate": name}
    values: dict[str, object] = {
        "domain": domain,
        "tenant": name,
        "issuer_uri": f"https://idp.example/t/{name}",
        "passive_sign_in_uri": f"https://idp.example/t/{name}/wsfed",
        "federated_idp_mfa_behavior": "acceptIfMfaDoneByFederatedIdp",
        **{field: certificate_text(key) for field, key in keys.items()},
    }
    if name == "contoso":
        values["previous_signing_certificate"] = certificate_text("previous")
    return FederationSettings.model_validate(values | changes)


CONTOSO = federation()
FABRIKAM = federation("fabrikam.example")
BRANCH = federation("branch.contoso.example", tenant="contoso", issuer_uri="https://idp.example/t/branch")
USERS = Directory.of(
    User(immutable_id="q83vEjRWeJA=", upn="ada@contoso.example", tenant="contoso"),
    User(immutable_id="sub", upn="sue@shop.contoso.example", tenant="contoso"),
    User(immutable_id="branch", upn="bob@branch.contoso.example", tenant="contoso"),
    User(immutable_id="moved", upn="moved@unfederated.example", tenant="contoso"),
    User(immutable_id="gone", upn="gone@contoso.example", tenant="contoso", enabled=False),
    User(immutable_id="fab", upn="fay@fabrikam.example", tenant="fabrikam"),
)
PENDING = PendingRequest(domain="contoso.example", wctx=WCTX, created=NOW - timedelta(seconds=30))


@dataclass(frozen=True)
class Attempt:
    """One answer to one request; the defaults are accepted."""

    token: Token = field(default_factory=Token)
    wresult: str | None = None
    form: tuple[tuple[str, str], ...] | None = None
    pending: PendingRequest | None = PENDING
    settings: FederationSettings = CONTOSO
    later: timedelta = timedelta()

    def verify(self, replays: ReplayMemory | None = None) -> SignedInUser:
        form = self.form
        if form is None:
            wresult = self.token.response() if self.wresult is None else self.wresult
            form = (("wa", "wsignin1.0"), ("wresult", wresult), ("wctx", WCTX))
        return verify_response(
            form,
            federations=Federations.of(self.settings, FABRIKAM, BRANCH),
            directory=USERS,
            replays=replays or ReplayMemory(),
            pending=self.pending,
            now=NOW + self.later,
        )


def in_response(old: str, new: str) -> Attempt:
    """A good response with one place outside of the assertion changed."""
    return Attempt(wresult=once(Token().response("@"), old, new).replace("@", Token().assertion()))


def in_signed(old: str, new: str) -> Attempt:
    """A good assertion changed after it was signed."""
    return Attempt(wresult=Token().response(once(Token().assertion(), old, new)))


def in_signed_info(old: str, new: str) -> Attempt:
    """A SignedInfo that says something else, and is signed with the right key all the same."""
    return Attempt(wresult=Token().response(resigned(once(Token().assertion(), old, new))))


def before_signing(old: str, new: str) -> Attempt:
    """An assertion changed and then signed with the right key."""
    return Attempt(Token(edits=((old, new),)))


def signed(**changes: object) -> Attempt:
    """A well-signed token that says something else."""
    return Attempt(Token().but(**changes))


def wanting(token: Token, settings: FederationSettings = CONTOSO, **wants: object) -> Attempt:
    return Attempt(token, pending=replace(PENDING, **wants), settings=settings)  # type: ignore[arg-type]


def posted(**fields: str) -> Attempt:
    form = {"wa": "wsignin1.0", "wresult": Token().response(), "wctx": WCTX} | fields
    return Attempt(form=tuple(form.items()))


def refused(attempt: Attempt, code: Code) -> None:
    with pytest.raises(EntraError) as caught:
        attempt.verify()
    assert caught.value.code is code, caught.value.message
    assert caught.value.message.startswith(f"AADSTS{code.value}: {MEANING[code]}")
