"""Programs that we did not write judge our tokens and metadata.

Each one must accept what we made and refuse the same thing changed: a checker that accepts everything
proves nothing. Needs the programs xmlsec1, samlsign (opensaml-tools), xmllint and node, the schemas of
opensaml-schemas, and the npm registry once, to fill `var/checkers`.
"""

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import signxml

from deploy.standins.entra.requests import WTREALM
from services.wsfed.domain.authentication import MULTIPLE_AUTHN
from services.wsfed.domain.keys import RsaSigningKey, certificate_base64, create_signing_key
from services.wsfed.domain.metadata import federation_metadata
from services.wsfed.domain.token import TokenSubject
from shared.clock import SystemClock
from tests.wsfed.domain_samples import PASSKEY, SUBJECT, a_token, assertion_of, pem

pytestmark = pytest.mark.integration

HERE = Path(__file__).parent
INSTALLED = HERE.parents[1] / "var" / "checkers"
SAML_ID = "AssertionID", "urn:oasis:names:tc:SAML:1.0:assertion:Assertion"
METADATA_ID = "ID", "urn:oasis:names:tc:SAML:2.0:metadata:EntityDescriptor"

ODD = replace(SUBJECT, upn="o'né&\"<ada>]]>\u2028𝒳@contoso.example", issuer='https://id.example/?a="1"&b=<2>')


def real_time() -> datetime:
    """The machine's time: the checkers look at it too."""
    return SystemClock().now()


def token_of_now(key: RsaSigningKey, subject: TokenSubject = SUBJECT, *, later: timedelta) -> str:
    """A token that is issued `later` than now, after a passkey three minutes before."""
    now = real_time() + later
    verified = replace(PASSKEY, authenticated_at=now - timedelta(minutes=3))
    return a_token(verified=verified, subject=subject, key=key, now=now)


@pytest.fixture(scope="module")
def key() -> RsaSigningKey:
    return create_signing_key("Blok365 checkers", real_time() - timedelta(days=1), 1)


@pytest.fixture(scope="module")
def stranger() -> RsaSigningKey:
    return create_signing_key("Somebody else", real_time() - timedelta(days=1), 1)


@pytest.fixture(params=["plain", "odd characters"])
def token(request: pytest.FixtureRequest, key: RsaSigningKey) -> str:
    return token_of_now(key, SUBJECT if request.param == "plain" else ODD, later=timedelta(0))


def run(*command: str | Path, stdin: str | None = None, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )
    return done.returncode, done.stdout + done.stderr


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


Change = Callable[[str], str]


def changed(old: str, new: str) -> Change:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    return change


def with_other_signature(text: str) -> str:
    """The first octets of the signature value changed."""
    head, mark, tail = text.partition("<ds:SignatureValue>")
    assert mark
    return head + mark + ("A" if tail[0] != "A" else "B") + tail[1:]


def without_signature(text: str) -> str:
    start, end = text.index("<ds:Signature "), text.index("</ds:Signature>") + len("</ds:Signature>")
    return text[:start] + text[end:]


TAMPERING = pytest.mark.parametrize(
    "tamper",
    [
        pytest.param(changed(SUBJECT.immutable_id, "b3RoZXI="), id="other user"),
        pytest.param(changed("contoso.example</", "contoso.example<!-- -->.evil</"), id="comment injection"),
        pytest.param(changed('MinorVersion="1"', 'MinorVersion="1" x="1"'), id="attribute added"),
        pytest.param(changed('Audience>urn:federation', 'Audience>urn:Federation'), id="other audience"),
        pytest.param(with_other_signature, id="other signature"),
        pytest.param(without_signature, id="no signature"),
    ],
)  # fmt: skip


# --- xmlsec1 --------------------------------------------------------------------------------------------------


def xmlsec1(tmp: Path, document: str | bytes, certificate: bytes, id_attribute: tuple[str, str]) -> bool:
    name, element = id_attribute
    trusted = written(tmp / "trusted.pem", pem(certificate))
    xml = written(tmp / "document.xml", document)
    code, output = run(
        "xmlsec1", "--verify", "--trusted-pem", trusted, f"--id-attr:{name}", element, xml
    )  # fmt: skip
    assert (code == 0) == output.startswith("OK"), output
    return code == 0


def test_xmlsec1_accepts_the_assertion_alone_and_in_its_response(
    token: str, key: RsaSigningKey, tmp_path: Path
) -> None:
    assert xmlsec1(tmp_path, assertion_of(token), key.certificate, SAML_ID)
    assert xmlsec1(tmp_path, token, key.certificate, SAML_ID)


@TAMPERING
def test_xmlsec1_refuses_a_tampered_token(
    token: str, key: RsaSigningKey, tmp_path: Path, tamper: Change
) -> None:
    assert not xmlsec1(tmp_path, tamper(assertion_of(token)), key.certificate, SAML_ID)


def test_xmlsec1_refuses_a_strangers_key(token: str, stranger: RsaSigningKey, tmp_path: Path) -> None:
    assert not xmlsec1(tmp_path, token, stranger.certificate, SAML_ID)


# --- samlsign (OpenSAML) --------------------------------------------------------------------------------------


def samlsign(tmp: Path, document: str | bytes, certificate: bytes) -> bool:
    xml = written(tmp / "document.xml", document)
    trusted = written(tmp / "trusted.pem", pem(certificate))
    code, _ = run("samlsign", "-f", xml, "-c", trusted)
    return code == 0


def test_opensaml_accepts_the_assertion(token: str, key: RsaSigningKey, tmp_path: Path) -> None:
    assert samlsign(tmp_path, assertion_of(token), key.certificate)


@TAMPERING
def test_opensaml_refuses_a_tampered_token(
    token: str, key: RsaSigningKey, tmp_path: Path, tamper: Change
) -> None:
    assert not samlsign(tmp_path, tamper(assertion_of(token)), key.certificate)


def test_opensaml_refuses_a_strangers_key(token: str, stranger: RsaSigningKey, tmp_path: Path) -> None:
    assert not samlsign(tmp_path, assertion_of(token), stranger.certificate)


# --- metadata -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("checker", ["xmlsec1", "samlsign"])
def test_checkers_accept_the_metadata_and_refuse_it_changed(
    checker: str, key: RsaSigningKey, stranger: RsaSigningKey, tmp_path: Path
) -> None:
    document = federation_metadata(
        issuer=ODD.issuer,
        display_name="Contoso & Söhne",
        passive_url="https://id.example/wsfed?x=1&y=2",
        key=key,
        next_certificates=[stranger.certificate],
    )

    def accepts(candidate: bytes, certificate: bytes) -> bool:
        if checker == "samlsign":
            return samlsign(tmp_path, candidate, certificate)
        return xmlsec1(tmp_path, candidate, certificate, METADATA_ID)

    assert accepts(document, key.certificate)
    assert not accepts(document, stranger.certificate)
    tampered = document.replace(b"/wsfed?x=1", b"/wsfed?x=2")
    assert tampered != document
    assert not accepts(tampered, key.certificate)


# --- the schema of SAML 1.1 -----------------------------------------------------------------------------------


def packaged(package: str, name: str) -> Path:
    """Where Debian's `package` put the file `name`."""
    code, output = run("dpkg", "-L", package)
    assert code == 0, output
    (found,) = (line for line in output.splitlines() if line.endswith(f"/{name}"))
    return Path(found)


def schema_errors(tmp: Path, assertion: str) -> list[str]:
    """What xmllint says against OASIS's schema; the signature schema it imports comes with signxml."""
    signature_schema = Path(signxml.__file__).parent / "schemas" / "xmldsig-core-schema.xsd"
    catalog = written(
        tmp / "catalog.xml",
        '<catalog xmlns="urn:oasis:names:tc:entity:xmlns:xml:catalog"><system'
        ' systemId="http://www.w3.org/TR/xmldsig-core/xmldsig-core-schema.xsd"'
        f' uri="{signature_schema.as_uri()}"/></catalog>',
    )
    schema = packaged("opensaml-schemas", "cs-sstc-schema-assertion-1.1.xsd")
    xml = written(tmp / "assertion.xml", assertion)
    code, output = run(
        "xmllint", "--nonet", "--noout", "--schema", schema, xml, XML_CATALOG_FILES=str(catalog)
    )
    assert code in (0, 3), output  # 3: not valid; anything else: it could not judge
    errors = [line for line in output.splitlines() if "Schemas validity error" in line]
    assert (code == 0) == (not errors)
    return errors


def test_schema_accepts_the_assertion(token: str, tmp_path: Path) -> None:
    assert schema_errors(tmp_path, assertion_of(token)) == []


def with_signature_first(text: str) -> str:
    start, end = text.index("<ds:Signature "), text.index("</ds:Signature>") + len("</ds:Signature>")
    return (text[:start] + text[end:]).replace("<saml:Conditions", text[start:end] + "<saml:Conditions", 1)


@pytest.mark.parametrize(
    "break_it",
    [
        pytest.param(with_signature_first, id="signature first"),
        pytest.param(changed(' MajorVersion="1"', ""), id="no version"),
        pytest.param(changed('AssertionID="_', 'AssertionID="7'), id="id that is no NCName"),
        pytest.param(changed("saml:NameIdentifier", "saml:NameId"), id="unknown element"),
        pytest.param(changed("ds:DigestMethod", "ds:Digest"), id="unknown element in the signature"),
    ],
)
def test_schema_refuses_a_broken_assertion(token: str, tmp_path: Path, break_it: Change) -> None:
    assert schema_errors(tmp_path, break_it(assertion_of(token)))


# --- passport-wsfed-saml2, a relying party --------------------------------------------------------------------


@pytest.fixture(scope="session")
def judge() -> Path:
    """The script beside its installed packages; `npm ci` runs again only when the lock file has changed."""
    INSTALLED.mkdir(parents=True, exist_ok=True)
    with (INSTALLED / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # pytest-xdist: one process installs, the others wait
        wanted = (HERE / "checkers" / "package-lock.json").read_bytes()
        stamp = INSTALLED / "installed-from.json"
        if not stamp.exists() or stamp.read_bytes() != wanted:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(HERE / "checkers" / name, INSTALLED / name)
            code, output = run("npm", "ci", "--ignore-scripts", "--prefix", INSTALLED)
            assert code == 0, output
            stamp.write_bytes(wanted)
    # Outside the lock: held for the session, it would keep every other worker waiting until the end.
    return Path(shutil.copy(HERE / "checkers" / "judge.js", INSTALLED / "judge.js"))


def posted(judge: Path, wresult: str, certificate: bytes, *, realm: str = WTREALM) -> dict[str, Any]:
    """The relying party's answer to this form post."""
    form = {
        "wresult": wresult,
        "wctx": "estsredirect=2",
        "certificate": certificate_base64(certificate),
        "realm": realm,
    }
    code, output = run("node", judge, stdin=json.dumps(form))
    assert code == 0, output
    answer = json.loads(output)
    assert isinstance(answer, dict)
    return answer


def test_relying_party_accepts_the_token_and_reads_it(judge: Path, token: str, key: RsaSigningKey) -> None:
    answer = posted(judge, token, key.certificate)
    assert answer["accepted"], answer
    profile = answer["profile"]
    assert (
        profile["http://schemas.microsoft.com/LiveID/Federation/2008/05/ImmutableID"] == SUBJECT.immutable_id
    )
    upn, issuer = profile["http://schemas.xmlsoap.org/claims/UPN"], profile["issuer"]
    assert (upn, issuer) in [(SUBJECT.upn, SUBJECT.issuer), (ODD.upn, ODD.issuer)]
    assert profile["http://schemas.microsoft.com/claims/authnmethodsreferences"] == MULTIPLE_AUTHN


@TAMPERING
def test_relying_party_refuses_a_tampered_token(
    judge: Path, token: str, key: RsaSigningKey, tamper: Change
) -> None:
    answer = posted(judge, tamper(token), key.certificate)
    assert not answer["accepted"]
    assert "ignature" in answer["reason"]


def test_relying_party_refuses_a_strangers_key_and_another_realm(
    judge: Path, token: str, key: RsaSigningKey, stranger: RsaSigningKey
) -> None:
    assert "ignature" in posted(judge, token, stranger.certificate)["reason"]
    assert "Audience" in posted(judge, token, key.certificate, realm="urn:other")["reason"]


@pytest.mark.parametrize("off", [timedelta(minutes=-20), timedelta(minutes=20)], ids=["expired", "too early"])
def test_relying_party_refuses_a_token_outside_its_time(
    judge: Path, key: RsaSigningKey, off: timedelta
) -> None:
    token = token_of_now(key, later=off)
    assert "expired" in posted(judge, token, key.certificate)["reason"]
