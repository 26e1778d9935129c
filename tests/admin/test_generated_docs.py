"""docs/messages.md and docs/settings.md say what the code says."""

from pathlib import Path

import pytest

from deploy import docs
from shared.contracts import contracts


def test_every_message_stands_in_the_page_with_its_sender_and_handlers() -> None:
    page = docs.messages({"admin.account.changed.v1": ["wsfed", "approval"]})
    for name in contracts():
        assert f"## {name}\n" in page
    row = next(line for line in page.splitlines() if line.startswith("| [`admin.account.changed.v1`]"))
    assert "| event, state | admin | wsfed, approval | 7 days |" in row


def test_handlers_are_those_that_the_contract_names() -> None:
    """That they are the services' own tables, too, is tests/conformance/test_topology.py's to show."""
    found = docs.handled_by()
    assert "admin" in found["approval.device.changed.v1"]
    assert {name: set(services) for name, services in found.items()} == {
        name: contract.READERS for name, contract in contracts().items()
    }


def test_every_setting_stands_in_the_page_with_default_and_meaning() -> None:
    page = docs.settings()
    assert "| `BLOK365_DATABASE_PREFIX` | string, like ^[a-z0-9_]{1,40}$ | `blok365` | Each service" in page
    assert "| `BLOK365_ADMIN_INVITATION_HOURS` | integer, at least 1, at most 24 | `24` | Hours" in page


def test_check_shows_what_is_stale_and_fails_and_writing_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "docs").mkdir()
    monkeypatch.setattr(docs, "ROOT", tmp_path)
    monkeypatch.setattr("sys.argv", ["docs", "--check"])
    assert docs.main() == 1
    assert "+# Messages" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["docs"])
    assert docs.main() == 0
    monkeypatch.setattr("sys.argv", ["docs", "--check"])
    assert docs.main() == 0
    page = tmp_path / "docs" / "settings.md"
    page.write_text(page.read_text().replace("`24`", "`48`"))
    assert docs.main() == 1
    assert "-| `BLOK365_ADMIN_INVITATION_HOURS`" in capsys.readouterr().out
