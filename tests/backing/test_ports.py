"""Ports for servers that are started now, later, or again."""

import pytest

from deploy.local.backing import port


@pytest.fixture(autouse=True)
def _nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port, "_given", set())
    monkeypatch.setattr(port, "_share", (0, 1))
    monkeypatch.setattr(port, "is_free", lambda _: True)


def test_no_port_is_handed_out_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port, "HIGHEST_PORT", port.LOWEST_PORT + 9)
    handed = {port.free_port() for _ in range(10)}
    assert handed == set(range(port.LOWEST_PORT, port.LOWEST_PORT + 10))
    with pytest.raises(port.BackingServiceFailed):
        port.free_port()


def test_shares_have_no_port_in_common() -> None:
    of_each = []
    for number in range(3):
        port.take_share(number, 3)
        of_each.append({port.free_port() for _ in range(200)})
    assert not of_each[0] & of_each[1] | of_each[1] & of_each[2] | of_each[0] & of_each[2]
    assert all(port.LOWEST_PORT <= each <= port.HIGHEST_PORT for each in set().union(*of_each))
