"""The Entra stand-in believes the good token, checks in Entra's order, and believes no token twice."""

import ast
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from deploy.standins import entra
from deploy.standins.entra.errors import Code, EntraError
from deploy.standins.entra.verify import ReplayMemory
from tests.standins.entra_attempts import PENDING, Attempt, federation, in_signed, signed, wanting
from tests.standins.entra_tokens import INSIDE, NOW, Token, certificate_of, once


def test_accepts_a_good_token() -> None:
    user = Attempt().verify()
    assert (user.upn, user.immutable_id, user.domain) == (
        "ada@contoso.example",
        "q83vEjRWeJA=",
        "contoso.example",
    )
    assert (user.mfa, user.key) == (False, "current")
    assert user.authentication_instant == NOW - timedelta(seconds=5)


GOOD: dict[str, Callable[[], Attempt]] = {
    "signed with the next key": lambda: Attempt(Token(signer="next")),
    "signed with the previous key": lambda: Attempt(Token(signer="previous")),
    "UPN in other letters": lambda: Attempt(Token(upn="Ada@Contoso.Example")),
    "user of a subdomain under the root's issuer": lambda: Attempt(
        Token(immutable_id="sub", upn="sue@shop.contoso.example")
    ),
    "MFA wanted and done": lambda: Attempt(Token().with_mfa(), pending=replace(PENDING, mfa_wanted=True)),
    "MFA made for this very request": lambda: Attempt(
        Token().with_mfa(), pending=replace(PENDING, mfa_wanted=True, mfa_max_age_seconds=0)
    ),
    "MFA young enough": lambda: Attempt(
        Token(authenticated=NOW - timedelta(seconds=60)).with_mfa(),
        pending=replace(PENDING, mfa_wanted=True, mfa_max_age_seconds=60),
    ),
    "inside the corporate network": lambda: Attempt(Token(claims=((INSIDE, "true"),))),
    "valid for an hour": lambda: Attempt(Token(not_on_or_after=NOW + timedelta(minutes=60))),
    "last moment": lambda: Attempt(later=timedelta(minutes=10, milliseconds=-1)),
    "authenticated after a forced request": lambda: Attempt(pending=replace(PENDING, max_age_seconds=0)),
    "session young enough": lambda: Attempt(
        Token(authenticated=NOW - timedelta(minutes=9)), pending=replace(PENDING, max_age_seconds=600)
    ),
    "line ends as a browser posts them": lambda: Attempt(wresult=Token().response().replace("\n", "\r\n")),
    "white space between the response's elements": lambda: Attempt(
        wresult=once(Token().response(), "<t:TokenType>", "\n  <t:TokenType>")
    ),
    "other prefixes": lambda: Attempt(
        wresult=Token()
        .response()
        .replace("<t:", "<trust:")
        .replace("</t:", "</trust:")
        .replace("xmlns:t=", "xmlns:trust=")
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_accepts(name: str) -> None:
    assert GOOD[name]().verify().assertion_id == Token().assertion_id


def test_rejects_replayed_assertion() -> None:
    replays = ReplayMemory()
    attempt = Attempt()
    attempt.verify(replays)
    with pytest.raises(EntraError) as caught:
        attempt.verify(replays)
    assert caught.value.code is Code.BAD_ASSERTION
    assert "used before" in caught.value.detail


def test_rejects_replay_under_another_request() -> None:
    replays = ReplayMemory()
    wresult = Token().response()
    Attempt(wresult=wresult).verify(replays)
    other = replace(PENDING, wctx="other")
    form = (("wa", "wsignin1.0"), ("wresult", wresult), ("wctx", "other"))
    with pytest.raises(EntraError, match="used before"):
        Attempt(form=form, pending=other).verify(replays)


def test_a_refused_token_does_not_use_the_assertion_up() -> None:
    replays = ReplayMemory()
    with pytest.raises(EntraError):
        wanting(Token(), mfa_wanted=True).verify(replays)
    with pytest.raises(EntraError):
        in_signed("ada@", "bob@").verify(replays)
    assert Attempt().verify(replays).upn == "ada@contoso.example"


def test_replay_memory_forgets_only_what_has_expired() -> None:
    replays = ReplayMemory()
    for number in range(1500):
        assert replays.use("issuer", str(number), NOW + timedelta(seconds=number), NOW)
    later = NOW + timedelta(seconds=1200)
    assert replays.use("issuer", "new", later + timedelta(hours=1), later)
    assert not replays.use("issuer", "1201", later, later)
    assert replays.use("issuer", "0", later, later)


def test_checks_come_in_the_order_of_entra() -> None:
    """A token with every fault at once is refused for the first one; mend it, and the next one shows."""
    faults: list[tuple[Code, dict[str, object]]] = [
        (Code.ISSUER_UNKNOWN, {"issuer": "https://idp.example/nobody"}),
        (Code.KEY_NOT_REGISTERED, {"signer": "attacker"}),
        (Code.BAD_ASSERTION, {"not_on_or_after": NOW - timedelta(seconds=1)}),
        (Code.BAD_ASSERTION, {"audience": "urn:federation:Other"}),
        (Code.USER_NOT_FOUND, {"immutable_id": "nobody"}),
        (Code.UPN_DOMAIN, {"upn": "ada@fabrikam.example"}),
    ]
    seen = []
    for first in range(len(faults)):
        changes: dict[str, object] = {}
        for _, change in faults[first:]:
            changes |= change
        with pytest.raises(EntraError) as caught:
            signed(**changes).verify()
        seen.append(caught.value)
    assert [each.code for each in seen] == [code for code, _ in faults]
    assert "valid from" in seen[2].detail
    assert "audience" in seen[3].detail


def test_mfa_is_not_believed_where_the_domain_rejects_it() -> None:
    settings = federation(federated_idp_mfa_behavior="rejectMfaByFederatedIdp")
    assert not Attempt(Token().with_mfa(), settings=settings).verify().mfa
    assert Attempt(Token().with_mfa()).verify().mfa


def test_rejects_any_single_changed_character_of_the_assertion() -> None:
    """Change every third character in turn, signature and certificate included: none is accepted."""
    assertion = Token().assertion()
    for position in range(0, len(assertion), 3):
        old = assertion[position]
        changed = assertion[:position] + ("x" if old != "x" else "y") + assertion[position + 1 :]
        with pytest.raises(EntraError):
            Attempt(wresult=Token().response(changed)).verify()


def test_shares_no_code_with_what_it_checks() -> None:
    """One bug must not hide in both: of ours it uses the clock, the ids and how a program starts, and not signxml."""
    used = set()
    for file in Path(entra.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                used.add(node.module or ".")
            elif isinstance(node, ast.Import):
                used |= {alias.name for alias in node.names}
    ours = {
        name
        for name in used
        if name.partition(".")[0] in ("services", "shared", "signxml", "deploy", "tests")
    }
    assert {name for name in ours if not name.startswith("deploy.standins.entra")} == {
        "deploy.standins.program",
        "shared.clock",
        "shared.ids",
    }


@pytest.mark.integration
@pytest.mark.parametrize("mfa", [False, True])
def test_xmlsec1_agrees_about_the_good_token(tmp_path: Path, mfa: bool) -> None:
    token = Token().with_mfa() if mfa else Token()
    file, certificate = tmp_path / "assertion.xml", tmp_path / "certificate.pem"
    file.write_text(token.assertion())
    certificate.write_bytes(certificate_of("current").public_bytes(Encoding.PEM))
    arguments = ["--enabled-reference-uris", "same-doc", "--trusted-pem", str(certificate)]
    name = "urn:oasis:names:tc:SAML:1.0:assertion:Assertion"
    command = ["xmlsec1", "--verify", *arguments, "--id-attr:AssertionID", name, str(file)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert etree.fromstring(file.read_bytes())[-1].tag == "{http://www.w3.org/2000/09/xmldsig#}Signature"
