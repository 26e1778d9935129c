"""`make demo`, run once as its own program, and the evidence that it leaves, judged by others' programs.

Whoever gets the six files can do the same: nothing here asks the running system, and the phone's proof is
verified from scratch with `cryptography` alone.
"""

import base64
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key
from lxml import etree

from deploy.standins.entra.requests import WTREALM
from deploy.standins.graph import check
from tests.flows.support import ADA, TENANT
from tests.wsfed.test_token_checkers import (
    METADATA_ID,
    SAML_ID,
    changed,
    judge,
    posted,
    samlsign,
    schema_errors,
    xmlsec1,
)

__all__ = ["judge"]  # a fixture

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
SAML = "{urn:oasis:names:tc:SAML:1.0:assertion}"
FILES = {"request.txt", "response.html", "wresult.xml", "signing.pem", "metadata.xml", "proof.json"}


def run_demo(var: Path, phone: str) -> str:
    """What the program says. It must say what it does and end well."""
    done = subprocess.run(
        [sys.executable, "-m", "deploy.local.demo", "--phone", phone, "--var", str(var)],
        cwd=ROOT,
        env={
            name: value for name, value in os.environ.items() if not name.startswith(("BLOK365_", "PYTHON"))
        },
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The demo went through." in done.stdout
    for step in ("4-7", "1-2", "3-5", "6-8", "10", "11"):
        assert f" {step} " in done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that one demo leaves, with the phone in software."""
    var = tmp_path_factory.mktemp("demo")
    run_demo(var, "software")
    return var / "signin"


@pytest.fixture(scope="module")
def wresult(evidence: Path) -> str:
    return (evidence / "wresult.xml").read_text()


@pytest.fixture(scope="module")
def certificate(evidence: Path) -> bytes:
    """DER."""
    loaded = x509.load_pem_x509_certificate((evidence / "signing.pem").read_bytes())
    return loaded.public_bytes(Encoding.DER)


@pytest.fixture(scope="module")
def assertion(wresult: str) -> str:
    """The assertion's own octets, cut out of the answer."""
    start = wresult.index("<saml:Assertion")
    return wresult[start : wresult.index("</saml:Assertion>") + len("</saml:Assertion>")]


def test_leaves_exactly_the_six_files(evidence: Path) -> None:
    assert {file.name for file in evidence.iterdir()} == FILES
    assert all(file.stat().st_size > 0 for file in evidence.iterdir())


def test_two_people_were_made_through_graph_each_once(evidence: Path) -> None:
    record = [
        json.loads(line) for line in (evidence.parent / "graph" / "requests.jsonl").read_text().splitlines()
    ]
    assert all(list(each) == ["at", "method", "url", "headers", "body", "status"] for each in record)
    assert list(check.problems(record)) == []
    asked = [(each["method"], each["url"], each["body"]) for each in record]
    for each in record:
        if each["url"].endswith("/v1.0/$batch"):
            asked += [(item["method"], item["url"], item.get("body")) for item in each["body"]["requests"]]
    made = sorted(
        body["userPrincipalName"] for method, url, body in asked if (method, url[-6:]) == ("POST", "/users")
    )
    assert made == [ADA, "grace@contoso.example"]
    assert sum(url.endswith("/assignLicense") for _, url, _ in asked) == 2
    assert {each["headers"].get("authorization", "hidden") for each in record} == {"hidden"}
    secrets = [
        body["passwordProfile"]["password"] for _, url, body in asked if url.endswith("/users") and body
    ]
    assert set(secrets) == {"hidden"} == {record[0]["body"]["client_secret"]}


def test_request_has_the_shape_of_entras(evidence: Path) -> None:
    parts = urlsplit((evidence / "request.txt").read_text().strip())
    assert parts.path == f"/t/{TENANT}/wsfed"
    pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)
    fields = dict(pairs)
    assert len(fields) == len(pairs)
    assert (fields["wa"], fields["wtrealm"], fields["username"]) == ("wsignin1.0", WTREALM, ADA)
    assert len(fields["wctx"]) >= 2048
    assert fields["wctx"].startswith("LoginOptions=3&estsredirect=2&estsrequest=")
    assert {"client-request-id", "cbcxt", "popupui", "mkt", "lc"} <= fields.keys()
    assert fields["wreply"].endswith("/login.srf")  # the stand-in's: no port of it is known beforehand


def test_page_posts_the_token_and_the_request_wctx_byte_for_byte(evidence: Path, wresult: str) -> None:
    page = etree.HTML((evidence / "response.html").read_text())
    (form,) = page.xpath("//form[.//input[@name='wresult']]")
    fields = {field.get("name"): field.get("value") for field in form.iter("input")}
    request = dict(parse_qsl(urlsplit((evidence / "request.txt").read_text().strip()).query))
    assert (form.get("method"), form.get("action")) == ("post", request["wreply"])
    assert fields == {"wa": "wsignin1.0", "wresult": wresult, "wctx": request["wctx"]}


def test_xmlsec1_accepts_the_token(wresult: str, assertion: str, certificate: bytes, tmp_path: Path) -> None:
    assert xmlsec1(tmp_path, wresult, certificate, SAML_ID)
    assert xmlsec1(tmp_path, assertion, certificate, SAML_ID)
    assert not xmlsec1(tmp_path, changed(ADA, "eve@contoso.example")(assertion), certificate, SAML_ID)


def test_opensaml_accepts_the_assertion(assertion: str, certificate: bytes, tmp_path: Path) -> None:
    assert samlsign(tmp_path, assertion, certificate)
    assert not samlsign(tmp_path, changed(ADA, "eve@contoso.example")(assertion), certificate)


def test_schema_of_saml_1_1_accepts_the_assertion(assertion: str, tmp_path: Path) -> None:
    assert schema_errors(tmp_path, assertion) == []


def test_passport_accepts_the_token(judge: Path, wresult: str, certificate: bytes) -> None:
    answer = posted(judge, wresult, certificate)
    assert answer["accepted"], answer
    assert answer["profile"]["http://schemas.xmlsoap.org/claims/UPN"] == ADA
    assert not posted(judge, changed(ADA, "eve@contoso.example")(wresult), certificate)["accepted"]


def test_metadata_is_signed_by_and_names_the_certificate_and_the_issuer(
    evidence: Path, assertion: str, certificate: bytes, tmp_path: Path
) -> None:
    metadata = (evidence / "metadata.xml").read_bytes()
    assert xmlsec1(tmp_path, metadata, certificate, METADATA_ID)
    assert base64.b64encode(certificate) in b"".join(metadata.split())
    entity = etree.fromstring(metadata).get("entityID")
    assert etree.fromstring(assertion).get("Issuer") == entity


# --- the phone's proof, from scratch ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def proof(evidence: Path) -> dict[str, bytes]:
    return proof_in(evidence)


def proof_in(evidence: Path) -> dict[str, bytes]:
    """Each part decoded: base64url without padding."""
    raw: dict[str, str] = json.loads((evidence / "proof.json").read_text())
    assert all("=" not in value and "+" not in value and "/" not in value for value in raw.values())
    return {name: base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)) for name, value in raw.items()}


def verifies(proof: dict[str, bytes]) -> bool:
    """Web Authentication Level 3 section 7.2, as far as one proof can show it."""
    client_data = json.loads(proof["client_data_json"])
    challenge = base64.urlsafe_b64encode(hashlib.sha256(proof["context"]).digest()).rstrip(b"=").decode()
    key = load_der_public_key(proof["public_key"])
    assert isinstance(key, ec.EllipticCurvePublicKey)
    signed = proof["authenticator_data"] + hashlib.sha256(proof["client_data_json"]).digest()
    try:
        key.verify(proof["signature"], signed, ec.ECDSA(SHA256()))
    except Exception:
        return False
    flags = proof["authenticator_data"][32]
    rp = hashlib.sha256(b"id.localhost").digest()
    return (
        client_data["type"] == "webauthn.get"
        and client_data["challenge"] == challenge
        and proof["authenticator_data"][:32] == rp
        and flags & 0x05 == 0x05  # user present, user verified
    )


def test_proof_has_the_five_parts(proof: dict[str, bytes]) -> None:
    names = {"context", "authenticator_data", "client_data_json", "signature", "public_key"}
    assert proof.keys() == names


def test_proof_verifies_from_scratch(proof: dict[str, bytes]) -> None:
    assert verifies(proof)


@pytest.mark.parametrize("part", ["context", "authenticator_data", "client_data_json", "signature"])
def test_changed_proof_does_not_verify(proof: dict[str, bytes], part: str) -> None:
    octets = bytearray(proof[part])
    at = octets.index(b"contoso") if part == "context" else len(octets) - 2
    if part == "client_data_json":
        at = octets.index(b"id.localhost")
    octets[at] ^= 1
    assert not verifies({**proof, part: bytes(octets)})


def test_proof_is_about_this_very_sign_in(proof: dict[str, bytes], evidence: Path) -> None:
    context = json.loads(proof["context"])
    address = urlsplit((evidence / "request.txt").read_text().strip())
    origin = f"{address.scheme}://{address.netloc}"
    assert context["tenant"] == TENANT
    assert context["upn"] == ADA
    assert context["realm"] == WTREALM
    phones = f"{address.scheme}://key.{address.netloc}"
    assert context["origin"] == origin
    assert json.loads(proof["client_data_json"])["origin"] == phones
    assert len(context["nonce"]) == 43
    assert context["code"].isdigit()
    assert len(context["code"]) >= 6
    page = (evidence / "response.html").read_text()
    assert f"/signin/{context['transaction']}" in page


@pytest.mark.slow
@pytest.mark.xdist_group("chromium")
def test_a_push_wakes_blokkey_in_chromium_which_approves(tmp_path: Path) -> None:
    said = run_demo(tmp_path, "chromium")
    assert "notifications are on" in said
    assert "the phone shows “Sign-in request”" in said
    evidence = tmp_path / "signin"
    assert {file.name for file in evidence.iterdir()} == FILES
    assert verifies(proof_in(evidence))


def test_token_claims_what_the_proof_shows_and_no_more(assertion: str) -> None:
    root = etree.fromstring(assertion)
    claims = {
        (each.get("AttributeNamespace"), each.get("AttributeName")): [v.text for v in each]
        for each in root.iter(f"{SAML}Attribute")
    }
    mfa = ["http://schemas.microsoft.com/claims/multipleauthn"]
    assert claims[("http://schemas.xmlsoap.org/claims", "UPN")] == [ADA]
    assert claims[("http://schemas.microsoft.com/claims", "authnmethodsreferences")] == mfa
    assert ("http://schemas.microsoft.com/ws/2012/01", "insidecorporatenetwork") not in claims
    (audience,) = root.iter(f"{SAML}Audience")
    assert audience.text == WTREALM
