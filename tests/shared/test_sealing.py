"""Secrets at rest."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.crypto.key_file import make_key
from shared.ids import SeededIds, SystemIds
from shared.store.sealing import CannotUnseal, SealingKey

PLACE = "signing_keys/contoso/2026a/private"


def key(seed: str = "seal") -> SealingKey:
    ids = SeededIds(seed)
    return SealingKey(ids.random_bytes(32), ids)


@given(st.binary(max_size=500))
def test_a_sealed_secret_opens_at_its_place_and_does_not_show(secret: bytes) -> None:
    sealed = key().seal(secret, PLACE)
    assert key().unseal(sealed, PLACE) == secret
    assert len(secret) < 4 or secret not in sealed


def test_the_same_secret_is_never_sealed_the_same_way_twice() -> None:
    one = key()
    assert len({one.seal(b"secret", PLACE) for _ in range(50)}) == 50


def test_moved_to_another_place_it_does_not_open() -> None:
    sealed = key().seal(b"secret", PLACE)
    for other in ("signing_keys/fabrikam/2026a/private", "", PLACE + "/"):
        with pytest.raises(CannotUnseal):
            key().unseal(sealed, other)


def test_under_another_key_it_does_not_open() -> None:
    with pytest.raises(CannotUnseal):
        key("other").unseal(key().seal(b"secret", PLACE), PLACE)


@given(st.data())
def test_with_any_octet_altered_it_does_not_open(data: st.DataObject) -> None:
    sealed = bytearray(key().seal(b"secret", PLACE))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CannotUnseal):
        key().unseal(bytes(sealed), PLACE)


@given(st.binary(max_size=60))
def test_whatever_octets_stand_there_the_answer_is_that_it_cannot_be_opened(octets: bytes) -> None:
    for sealed in (octets, b"\x01" + octets):
        with pytest.raises(CannotUnseal):
            key().unseal(sealed, PLACE)


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_refuses_keys_of_another_length(size: int) -> None:
    with pytest.raises(ValueError):
        SealingKey(bytes(size), SystemIds())


def test_a_key_file_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "wsfed.seal"
    make_key(path, SystemIds())
    first = path.read_bytes()
    make_key(path, SystemIds())
    assert path.read_bytes() == first
    assert len(first) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    sealed = SealingKey.from_file(path, SystemIds()).seal(b"secret", PLACE)
    assert SealingKey.from_file(path, SystemIds()).unseal(sealed, PLACE) == b"secret"


def test_what_the_replaced_key_sealed_opens_while_its_file_is_there(tmp_path: Path) -> None:
    path, old = tmp_path / "wsfed.seal", tmp_path / "wsfed.seal.old"
    make_key(path, SystemIds())
    before = SealingKey.from_file(path, SystemIds()).seal(b"secret", PLACE)
    path.rename(old)
    make_key(path, SystemIds())
    replaced = SealingKey.from_file(path, SystemIds())
    assert replaced.unseal(before, PLACE) == b"secret"
    after = replaced.seal(b"another", PLACE)
    old.unlink()
    alone = SealingKey.from_file(path, SystemIds())
    assert alone.unseal(after, PLACE) == b"another"
    with pytest.raises(CannotUnseal):
        alone.unseal(before, PLACE)
