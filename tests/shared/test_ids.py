"""Chance, and how octets travel."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.ids import SeededIds, SystemIds, b64u, new_code, new_id, new_secret, unb64u


class GivenOctets:
    """An `Ids` whose next octets are written in the test."""

    def __init__(self, *octets: bytes) -> None:
        self._octets = list(octets)

    def random_bytes(self, count: int) -> bytes:
        given = self._octets.pop(0)
        assert len(given) == count
        return given


@given(st.binary(max_size=100))
def test_base64url_goes_there_and_back(data: bytes) -> None:
    text = b64u(data)
    assert unb64u(text) == data
    assert "=" not in text
    assert "+" not in text
    assert "/" not in text


@pytest.mark.parametrize(
    "text", ["A", "AAAAA", "AA==", "AA=", "+A", "/A", "A A", "AA\n", "é", "AB", "AAB", "\ud800"]
)
def test_refuses_other_spellings_of_the_same_octets(text: str) -> None:
    with pytest.raises(ValueError):
        unb64u(text)


@given(st.text(max_size=40))
def test_each_octet_string_has_one_spelling(text: str) -> None:
    try:
        data = unb64u(text)
    except ValueError:
        return
    assert b64u(data) == text


def test_ids_have_128_bits_and_secrets_256() -> None:
    assert len(unb64u(new_id(SystemIds()))) == 16
    assert len(unb64u(new_secret(SystemIds()))) == 32
    assert len({new_id(SystemIds()) for _ in range(1000)}) == 1000


def test_the_same_seed_gives_the_same_run_and_another_another() -> None:
    first, again, other = SeededIds("a"), SeededIds("a"), SeededIds("b")
    run = [first.random_bytes(n) for n in (1, 16, 64, 65, 200)]
    assert run == [again.random_bytes(n) for n in (1, 16, 64, 65, 200)]
    assert [len(o) for o in run] == [1, 16, 64, 65, 200]
    assert other.random_bytes(16) != run[1]
    assert len({first.random_bytes(16) for _ in range(100)}) == 100


def test_codes_are_digits_with_leading_zeros() -> None:
    assert new_code(GivenOctets((42).to_bytes(8, "big"))) == "000042"
    assert new_code(GivenOctets((999_999).to_bytes(8, "big"))) == "999999"
    assert len(new_code(SystemIds(), digits=8)) == 8


def test_codes_are_equally_likely_because_the_last_incomplete_block_is_drawn_again() -> None:
    limit = (1 << 64) // 10**6 * 10**6
    drawn = GivenOctets(
        limit.to_bytes(8, "big"), (1 << 64).__sub__(1).to_bytes(8, "big"), (7).to_bytes(8, "big")
    )
    assert new_code(drawn) == "000007"
    assert new_code(GivenOctets((limit - 1).to_bytes(8, "big"))) == "999999"


def test_codes_spread_over_all_first_digits() -> None:
    ids = SeededIds("codes")
    first = Counter(new_code(ids)[0] for _ in range(5000))
    assert set(first) == set("0123456789")
    assert all(350 < count < 650 for count in first.values())
