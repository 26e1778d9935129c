"""The properties of a connection as administrators type and paste them, and what is said of mistakes."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import assume, given
from hypothesis import strategies as st

from services.admin.domain.directory import PLACEHOLDER, read_end, read_properties
from shared.errors import BadInput

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
CLIENT = "0f3c9d5e-2f0a-4c56-9d4e-3a7d6f1b2c3d"
SECRET = "Qx8Q~7a.b_c-d"
GOOD = {"client_id": CLIENT, "client_secret": SECRET, "tenant_domain": "contoso.onmicrosoft.com"}


def fault(text: str) -> BadInput:
    with pytest.raises(BadInput) as raised:
        read_properties(text, NOW)
    assert SECRET not in f"{raised.value} {raised.value.remedy}"
    assert SECRET not in repr(raised.value.__cause__)
    return raised.value


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(GOOD),
        json.dumps(GOOD, indent=2),
        json.dumps(GOOD)[1:-1],
        json.dumps(GOOD, indent=2)[1:-1] + ",\n",
        "  \n" + json.dumps(GOOD)[:-1],
        json.dumps(GOOD)[1:],
        "\ufeff" + json.dumps(GOOD),
        json.dumps({**GOOD, "client_id": CLIENT.upper(), "tenant_domain": " Contoso.OnMicrosoft.com "}),
    ],
)
def test_properties_in_every_usual_form(text: str) -> None:
    read = read_properties(text, NOW)
    assert read.model_dump(exclude_defaults=True) == GOOD


def test_a_directory_may_be_named_by_its_id() -> None:
    assert read_properties(json.dumps({**GOOD, "tenant_domain": CLIENT}), NOW).tenant_domain == CLIENT


@pytest.mark.parametrize(
    "value",
    ["<your secret>", "{client_secret}", "...", "xxxxxxxx", "your-value-here", "REPLACE ME", "[value]"],
)
@pytest.mark.parametrize("name", GOOD)
def test_a_placeholder_is_named(name: str, value: str) -> None:
    said = fault(json.dumps({**GOOD, name: value}))
    assert (said.id, said.values) == ("admin.connection.placeholder", {"name": name})


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ('{\n"client_id": "x"\n"client_secret": "y"}', 3, 1),
        ('"client_id": "x",\n"client_secret" "y"', 2, 17),
        ("client_id: x", 1, 1),
        ("\n\n{“client_id”: 1}", 3, 2),
        ('{"client_id": "x\n"}', 1, 17),
    ],
)
def test_what_is_no_json_is_shown_by_line(text: str, line: int, column: int) -> None:
    said = fault(text)
    assert said.id == "admin.connection.json"
    assert (said.values["line"], said.values["column"]) == (line, column)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"client_id": ""}, "missing"),
        ({"tenant_domain": ""}, "missing"),
        ({"client_id": "contoso"}, "client_id"),
        ({"client_secret": ""}, "credential"),
        ({"client_secret": CLIENT}, "secret_id"),
        ({"client_secret": "a b"}, "secret_malformed"),
        ({"client_secret": "ä"}, "secret_malformed"),
        ({"client_secret": "y" * 600}, "secret_malformed"),
        ({"certificate": "x"}, "credential"),
        ({"tenant": "x"}, "unknown_property"),
        ({"client_id": 7}, "no_text"),
        ({"client_id": None}, "no_text"),
    ],
)
def test_what_is_wrong_is_said_by_the_propertys_name(changes: dict[str, object], expected: str) -> None:
    assert fault(json.dumps({**GOOD, **changes})).id == f"admin.connection.{expected}"


@pytest.mark.parametrize(
    "domain", ["https://contoso.example", "contoso", "a/b.example", "-.example", "a b.example"]
)
def test_what_is_no_domain(domain: str) -> None:
    assert fault(json.dumps({**GOOD, "tenant_domain": domain})).id == "admin.domain.malformed"


def test_a_property_that_is_there_twice() -> None:
    assert fault('"client_id": "x", "client_id": "y"').id == "admin.connection.doubled"


@pytest.mark.parametrize("text", ["", "[]", "null", "7", "[" * 100_00, "x" * 40_000, '"a":' + "1" * 9000])
def test_anything_else_is_refused_too(text: str) -> None:
    assert fault(text).id.startswith("admin.connection.")


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, *, days: int = 365) -> tuple[str, str]:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "blok365")])
    begins = NOW - timedelta(days=500)
    made = x509.CertificateBuilder(name, name, key.public_key(), 7, begins, NOW + timedelta(days=days))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    signed = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    return signed.decode(), private.decode()


def on_an_unknown_curve(text: str) -> str:
    """A key or certificate of `pem` on P-256, as if it were on a curve that nobody knows."""
    label, (first, *lines, last) = b"\x2a\x86\x48\xce\x3d\x03\x01", text.strip().splitlines()
    octets = base64.b64decode("".join(lines)).replace(label + b"\x07", label + b"\x77")
    return "\n".join([first, base64.b64encode(octets).decode(), last])


def test_certificates_are_read_before_they_are_sent() -> None:
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    certificate, key = pem(rsa_key)
    ended, _ = pem(rsa_key, days=-1)
    curve, curve_key = pem(ec.generate_private_key(ec.SECP256R1()))
    base = {"client_id": CLIENT, "tenant_domain": "contoso.example"}
    good = read_properties(json.dumps({**base, "certificate": certificate, "private_key": key}), NOW)
    assert (good.client_secret, good.private_key) == ("", key.strip())
    for wrong, expected in (
        ({"certificate": ended, "private_key": key}, "certificate_ended"),
        ({"certificate": certificate, "private_key": curve_key}, "other_key"),
        ({"certificate": curve, "private_key": curve_key}, "other_key"),
        ({"certificate": "-----BEGIN", "private_key": key}, "certificate"),
        ({"certificate": certificate, "private_key": on_an_unknown_curve(curve_key)}, "certificate"),
        ({"certificate": on_an_unknown_curve(curve), "private_key": key}, "certificate"),
        ({"certificate": certificate}, "credential"),
        ({"certificate": certificate, "private_key": key, "client_secret": SECRET}, "credential"),
    ):
        assert fault(json.dumps({**base, **wrong})).id == f"admin.connection.{expected}"


def key_of_primes(p: int, q: int) -> str:
    """PEM of the RSA key of these two, which nobody has looked at."""
    d = pow(65537, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(65537, p * q)
    numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public)
    return (
        numbers.private_key(unsafe_skip_rsa_key_validation=True)
        .private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        .decode()
    )


def test_a_key_that_takes_minutes_to_test_is_not_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two primes of Mersenne, 4423 and 4253 bits: to load the key takes half a minute, and admin stands still."""
    usual = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    large = key_of_primes(2**4423 - 1, 2**4253 - 1)
    load, tested = serialization.load_pem_private_key, list[bool]()
    loaded = load(large.encode(), None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(loaded, rsa.RSAPrivateKey)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "blok365")])
    made = x509.CertificateBuilder(name, name, loaded.public_key(), 7, NOW, NOW + timedelta(days=9))
    certificate = made.sign(usual, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    def watched(data: bytes, password: None, **more: bool) -> object:
        tested.append(not more)
        return load(data, password, unsafe_skip_rsa_key_validation=True)

    monkeypatch.setattr(serialization, "load_pem_private_key", watched)
    base = {"client_id": CLIENT, "tenant_domain": "contoso.example", "private_key": large}
    assert fault(json.dumps({**base, "certificate": pem(usual)[0]})).id == "admin.connection.other_key"
    assert fault(json.dumps({**base, "certificate": certificate})).id == "admin.connection.key_size"
    assert tested == [False, False]


@pytest.mark.parametrize("name", ["certificate", "private_key"])
def test_what_the_message_does_not_take_is_refused_by_name(name: str) -> None:
    certificate, key = pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    given = {"certificate": certificate, "private_key": key}
    given[name] = "Bag Attributes\n" * 600 + given[name]
    found = fault(json.dumps({"client_id": CLIENT, "tenant_domain": "contoso.example", **given}))
    assert found.id == "admin.connection.pem_too_long"
    assert name in found.detail


WORDS = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters='"\\<>{}[]xX*'), min_size=9
)


@given(
    secret=WORDS,
    braces=st.tuples(st.booleans(), st.booleans()),
    comma=st.booleans(),
    gap=st.sampled_from(" \t\r\n"),
)
def test_whatever_the_secret_the_braces_and_the_gaps_it_is_read_as_it_is(
    secret: str, braces: tuple[bool, bool], comma: bool, gap: str
) -> None:
    assume(not PLACEHOLDER.fullmatch(secret))
    text = (",\n" if comma else ",").join(
        f'"{name}":{gap}"{value}"' for name, value in {**GOOD, "client_secret": secret}.items()
    )
    text = f"{'{' if braces[0] else ''}{gap}{text}{',' if comma else ''}{gap}{'}' if braces[1] else ''}"
    assert read_properties(text, NOW).client_secret == secret


@given(
    text=st.one_of(
        st.text(), st.text('{}[]":,\n\\ abc1'), st.text('{}":,\n ').map(lambda rest: json.dumps(GOOD) + rest)
    )
)
def test_any_text_is_read_or_explained_and_no_explanation_quotes_the_secret(text: str) -> None:
    found = None
    try:
        read_properties(text, NOW)
    except BadInput as error:
        found = error
    if found is None:
        return
    assert found.id.startswith("admin.")
    assert SECRET not in f"{found} {found.remedy}"
    if found.id == "admin.connection.json":
        assert 1 <= int(str(found.values["line"])) <= text.count("\n") + 1


def test_the_day_on_which_a_secret_ends() -> None:
    assert read_end(" ", NOW) is None
    assert read_end("2027-05-31", NOW) == datetime(2027, 5, 31, tzinfo=UTC)
    for text, expected in (
        ("31.05.2027", "end"),
        ("2027-13-01", "end"),
        ("2026-03-02", "end_past"),
        ("\x1b" * 9, "end"),
    ):
        with pytest.raises(BadInput) as raised:
            read_end(text, NOW)
        assert raised.value.id == f"admin.connection.{expected}"
