"""The sealed box: what it keeps, and that it is RFC 9180 and nothing of our own."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hmac
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from shared.crypto.sealed_box import CannotOpen, load_opener, load_sealer, make_box_keys
from shared.crypto.vapid import load_vapid_key, load_vapid_public, make_vapid_key, public_point
from shared.ids import SystemIds, b64u, unb64u

SECRET = b"https://localhost/#i=invitation.seed"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_box_keys(tmp_path, ["notify", "audit"], SystemIds())
    return tmp_path


def test_only_the_service_that_it_is_sealed_for_opens_it(folder: Path) -> None:
    sealed = load_sealer(folder, "notify").seal(SECRET, "place")
    assert load_opener(folder, "notify").open(sealed, "place") == SECRET
    with pytest.raises(CannotOpen):
        load_opener(folder, "audit").open(sealed, "place")


def test_opens_only_where_it_was_sealed_for(folder: Path) -> None:
    sealed = load_sealer(folder, "notify").seal(SECRET, "notify.mail.send.v1/contoso/1")
    with pytest.raises(CannotOpen):
        load_opener(folder, "notify").open(sealed, "notify.mail.send.v1/contoso/2")


def test_one_altered_bit_anywhere_is_noticed(folder: Path) -> None:
    octets = unb64u(load_sealer(folder, "notify").seal(b"short", "place"))
    opener = load_opener(folder, "notify")
    for index in range(len(octets)):
        altered = bytearray(octets)
        altered[index] ^= 1
        with pytest.raises(CannotOpen):
            opener.open(b64u(bytes(altered)), "place")


@pytest.mark.parametrize("text", ["", "A", "=", "!!!!", "AAAA", b64u(bytes(47)), b64u(bytes(48)), "é"])
def test_what_is_no_sealed_box_does_not_open(folder: Path, text: str) -> None:
    with pytest.raises(CannotOpen):
        load_opener(folder, "notify").open(text, "place")


def test_the_same_secret_never_looks_the_same(folder: Path) -> None:
    sealer = load_sealer(folder, "notify")
    assert len({sealer.seal(SECRET, "place") for _ in range(10)}) == 10


def test_the_fault_says_nothing_of_the_secret(folder: Path) -> None:
    sealed = load_sealer(folder, "notify").seal(SECRET, "place")
    with pytest.raises(CannotOpen) as fault:
        load_opener(folder, "notify").open(sealed, "elsewhere")
    assert "seed" not in repr(fault.value)
    assert sealed not in repr(fault.value)


def test_a_rolled_over_key_still_opens_what_is_on_its_way(folder: Path) -> None:
    sealed = load_sealer(folder, "notify").seal(SECRET, "place")
    (folder / "notify.box").rename(folder / "notify.box.old")
    make_box_keys(folder, ["notify"], SystemIds())
    opener = load_opener(folder, "notify")
    assert opener.open(sealed, "place") == SECRET
    assert opener.open(load_sealer(folder, "notify").seal(b"new", "place"), "place") == b"new"


def test_key_files_are_their_owners_and_made_once(folder: Path) -> None:
    before = (folder / "notify.box").read_bytes()
    make_box_keys(folder, ["notify"], SystemIds())
    assert (folder / "notify.box").read_bytes() == before
    assert (folder / "notify.box").stat().st_mode & 0o777 == 0o600
    assert set(json.loads((folder / "boxes.json").read_text())) == {"notify"}


def test_an_implementation_written_from_rfc_9180_opens_it(folder: Path) -> None:
    sealed = unb64u(load_sealer(folder, "notify").seal(SECRET, "place"))
    key = load_pem_private_key((folder / "notify.box").read_bytes(), None)
    assert isinstance(key, X25519PrivateKey)
    assert hpke_open(sealed, key, b"blok365-sealed-box-v1/place") == SECRET


def hpke_open(sealed: bytes, private: X25519PrivateKey, info: bytes) -> bytes:
    """RFC 9180, mode_base, DHKEM(X25519, HKDF-SHA256) 0x0020, HKDF-SHA256 0x0001, AES-256-GCM 0x0002."""
    kem, suite = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\x00\x02"
    enc, ciphertext = sealed[:32], sealed[32:]
    dh = private.exchange(X25519PublicKey.from_public_bytes(enc))
    own = private.public_key().public_bytes_raw()
    eae = extract(kem, b"", b"eae_prk", dh)  # section 4.1
    shared = expand(kem, eae, b"shared_secret", enc + own, 32)
    psk_id_hash = extract(suite, b"", b"psk_id_hash", b"")  # section 5.1
    info_hash = extract(suite, b"", b"info_hash", info)
    context = b"\x00" + psk_id_hash + info_hash
    secret = extract(suite, shared, b"secret", b"")
    aead = AESGCM(expand(suite, secret, b"key", context, 32))
    return aead.decrypt(expand(suite, secret, b"base_nonce", context, 12), ciphertext, b"")


def extract(suite: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
    mac = hmac.HMAC(salt or bytes(32), SHA256())
    mac.update(b"HPKE-v1" + suite + label + ikm)
    return mac.finalize()


def expand(suite: bytes, key: bytes, label: bytes, info: bytes, length: int) -> bytes:
    labelled = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return HKDFExpand(SHA256(), length, labelled).derive(key)


def test_the_vapid_key_is_made_once_and_its_public_half_is_readable(tmp_path: Path) -> None:
    make_vapid_key(tmp_path)
    key = load_vapid_key(tmp_path)
    make_vapid_key(tmp_path)
    assert load_vapid_public(tmp_path) == b64u(public_point(key.public_key()))
    assert (tmp_path / "notify.vapid").stat().st_mode & 0o777 == 0o600


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    pem = X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "notify.vapid").write_bytes(pem)
    with pytest.raises(ValueError, match="not a P-256 key"):
        load_vapid_key(tmp_path)
    make_vapid_key(tmp_path / "other")
    (tmp_path / "other" / "notify.vapid").rename(tmp_path / "notify.box")
    with pytest.raises(ValueError, match="not an X25519 key"):
        load_opener(tmp_path, "notify")
