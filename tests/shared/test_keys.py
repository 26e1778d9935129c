"""Services' keys and the file that pins them."""

import json
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from shared.crypto.keys import (
    key_from_seed,
    load_service_key,
    load_trusted_keys,
    make_service_keys,
    raw_public,
)
from shared.ids import SeededIds, SystemIds, b64u

SERVICES = ("admin", "wsfed")


def test_each_service_gets_a_key_of_its_own_and_everybody_the_public_halves(tmp_path: Path) -> None:
    make_service_keys(tmp_path / "keys", SERVICES, SystemIds())
    trusted = load_trusted_keys(tmp_path / "keys" / "trusted.json")
    assert set(trusted) == set(SERVICES)
    for service in SERVICES:
        path = tmp_path / "keys" / f"{service}.key"
        own = load_service_key(path)
        trusted[service][0].verify(own.sign(b"message"), b"message")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert raw_public(trusted["admin"][0]) != raw_public(trusted["wsfed"][0])
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700


def test_existing_keys_are_kept_when_a_service_is_added(tmp_path: Path) -> None:
    make_service_keys(tmp_path, SERVICES, SystemIds())
    before = load_trusted_keys(tmp_path / "trusted.json")
    make_service_keys(tmp_path, (*SERVICES, "approval"), SystemIds())
    after = load_trusted_keys(tmp_path / "trusted.json")
    assert set(after) == {"admin", "wsfed", "approval"}
    for service in SERVICES:
        assert raw_public(after[service][0]) == raw_public(before[service][0])


def test_the_pinned_file_holds_no_secret(tmp_path: Path) -> None:
    make_service_keys(tmp_path, ("admin",), SeededIds("seen"))
    seed = SeededIds("seen").random_bytes(32)
    text = (tmp_path / "trusted.json").read_text()
    assert b64u(seed) not in text
    assert json.loads(text) == {"admin": [b64u(raw_public(key_from_seed(seed)))]}


def test_several_keys_of_one_service_are_read_while_it_is_rolled_over(tmp_path: Path) -> None:
    old, new = key_from_seed(b"o" * 32), key_from_seed(b"n" * 32)
    path = tmp_path / "trusted.json"
    path.write_text(json.dumps({"admin": [b64u(raw_public(old)), b64u(raw_public(new))]}))
    assert [raw_public(k) for k in load_trusted_keys(path)["admin"]] == [raw_public(old), raw_public(new)]


def test_refuses_a_key_file_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "admin.key"
    other = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(ValueError, match=r"admin\.key"):
        load_service_key(path)


def test_the_seed_gives_the_key_of_rfc_8032_test_1() -> None:
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert raw_public(key_from_seed(seed)).hex() == public
