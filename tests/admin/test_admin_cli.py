"""`blok365`: an operator's walk on a real MongoDB, and faults told in one line."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import structlog
from pymongo import MongoClient
from typer.testing import CliRunner, Result

from deploy.cli.commands import app
from deploy.cli.session import Options
from shared.ids import unb64u
from shared.services import SERVICES

Blok365 = Callable[..., Result]


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Blok365]:
    """The program with a folder of its own and nothing in the environment."""
    for name in ("KEYS", "MONGO_URL", "ORIGIN", "PORT", "TENANT", "DATABASE_PREFIX"):
        monkeypatch.delenv(f"BLOK365_{name}", raising=False)
    yield lambda *arguments: CliRunner().invoke(app, ["--var", str(tmp_path / "var"), *arguments])
    structlog.reset_defaults()


@pytest.fixture
def blok365(
    alone: Blok365, mongo_url: str, mongo_database: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Blok365]:
    """The program on an empty MongoDB."""
    monkeypatch.setenv("BLOK365_MONGO_URL", mongo_url)
    monkeypatch.setenv("BLOK365_DATABASE_PREFIX", mongo_database)
    yield alone
    client: MongoClient[dict[str, object]] = MongoClient(mongo_url)
    for name in client.list_database_names():
        if name.startswith(mongo_database):
            client.drop_database(name)
    client.close()


def said(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(result: Result) -> str:
    """One line for a person, on standard error, and exit code 1."""
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("blok365: ")
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.output
    return result.stderr


@pytest.mark.integration
def test_an_operators_walk_from_nothing_to_a_suspended_person(blok365: Blok365) -> None:
    assert "blok365 keys" in refused(blok365("tenant", "list"))
    said(blok365("keys"))
    assert "blok365 migrate" in refused(blok365("tenant", "list"))
    assert "indexes built" in said(blok365("migrate"))
    assert said(blok365("migrate")) == "Nothing to build.\n"
    said(blok365("tenant", "add", "contoso", "--name", "Contoso"))
    assert "already" in refused(blok365("tenant", "add", "contoso", "--name", "Contoso"))
    said(blok365("domain", "add", "Contoso.example", "-t", "contoso"))
    said(blok365("app", "add", "-t", "contoso", "--session-hours", "4", "--first-method", "qr"))
    shown = json.loads(said(blok365("tenant", "show", "contoso", "--json")))
    assert shown["domains"][0]["issuer"] == "http://id.localhost:8365/t/contoso/contoso.example"
    assert shown["applications"][0]["session_hours"] == 4
    assert "--sign-in known_browsers" in said(blok365("tenant", "policy", "contoso"))
    strict = ("--sign-in", "known_browsers", "--same-network", "--json")
    policy = json.loads(said(blok365("tenant", "policy", "contoso", *strict)))
    assert (policy["sign_in"], policy["same_network_or_passkey"]) == ("known_browsers", True)
    assert "known_browsers" in said(blok365("tenant", "policy", "contoso"))
    assert blok365("tenant", "policy", "contoso", "--sign-in", "closed").exit_code == 2
    ada = ("--first", "Ada", "--last", "Lovelace", "--email", "ada@home.example", "--json", "--show-link")
    added = json.loads(said(blok365("account", "add", "ada@contoso.example", "-t", "contoso", *ada)))
    assert added["status"] == "invited"
    assert len(unb64u(urlsplit(added["link"]).fragment.rpartition(".")[2])) == 32
    again = said(blok365("account", "invite", "ada@contoso.example", "-t", "contoso", "--show-link")).strip()
    assert again.startswith("http://key.id.localhost:8365/#i=")
    assert again != added["link"]
    said(blok365("account", "suspend", "ada@contoso.example", "-t", "contoso"))
    assert "nothing to suspend" in refused(
        blok365("account", "suspend", "ada@contoso.example", "-t", "contoso")
    )
    assert "suspended" in said(blok365("account", "show", "ada@contoso.example", "-t", "contoso"))
    assert "invited" in said(blok365("account", "resume", "ada@contoso.example", "-t", "contoso"))
    assert "removed" in said(blok365("account", "remove", "ada@contoso.example", "-t", "contoso", "--yes"))


@pytest.mark.integration
def test_seeding_makes_that_many_accounts_and_again_makes_no_more(blok365: Blok365) -> None:
    for step in (("keys",), ("migrate",), ("tenant", "add", "contoso", "--name", "Contoso")):
        said(blok365(*step))
    assert "no domain" in refused(blok365("seed", "-t", "contoso", "--accounts", "3"))
    said(blok365("domain", "add", "contoso.example", "-t", "contoso"))
    for _ in range(2):
        said(blok365("seed", "-t", "contoso", "--accounts", "1203"))
    seen: list[str] = []
    more: tuple[str, ...] = ()
    while True:
        page = json.loads(
            said(blok365("account", "list", "-t", "contoso", "--limit", "200", "--json", *more))
        )
        seen += [person["upn"] for person in page["accounts"]]
        if page["cursor"] is None:
            break
        more = ("--cursor", page["cursor"])
    assert seen == [f"person{n:06d}@contoso.example" for n in range(1, 1204)]


@pytest.mark.integration
@pytest.mark.parametrize("url", ["mongodb://user:hidden@127.0.0.1:1/", "nonsense"])
def test_a_mongodb_that_does_not_answer_is_one_line_without_its_password(
    alone: Blok365, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said(alone("keys"))
    monkeypatch.setenv("BLOK365_MONGO_URL", url + "?serverSelectionTimeoutMS=200" * url.endswith("/"))
    for command in (("tenant", "list"), ("migrate",)):
        line = refused(alone(*command))
        assert "hidden" not in line


def test_a_wrong_setting_is_named(alone: Blok365, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLOK365_ORIGIN", "http://signin.example")
    assert "BLOK365_ORIGIN" in refused(alone("keys"))


def test_links_go_where_make_run_listens_unless_a_setting_says_otherwise(
    alone: Blok365, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Options(var=tmp_path, debug=False)
    assert here.settings().origin == "http://id.localhost:8365"
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "origin").write_text("http://id.localhost:8901")
    assert here.settings().origin == "http://id.localhost:8901"
    monkeypatch.setenv("BLOK365_PORT", "8902")
    assert here.settings().origin == "http://id.localhost:8902"
    monkeypatch.setenv("BLOK365_ORIGIN", "https://id.example")
    assert here.settings().origin == "https://id.example"


@pytest.mark.parametrize("command", ["migrate", "resync", "restore", "dead"])
def test_an_unknown_service_is_answered_with_those_there_are(alone: Blok365, command: str) -> None:
    result = alone(command, "nosuch")
    assert result.exit_code == 2
    assert all(name in result.stderr for name in ("nosuch", *SERVICES))


def test_keys_are_made_once(alone: Blok365, tmp_path: Path) -> None:
    said(alone("keys"))
    before = {path.name: path.read_bytes() for path in (tmp_path / "var" / "keys").iterdir()}
    said(alone("keys"))
    assert {path.name: path.read_bytes() for path in (tmp_path / "var" / "keys").iterdir()} == before
    assert {"admin.key", "wsfed.seal", "trusted.json"} <= set(before)


def test_help_says_that_it_works_beside_a_running_system() -> None:
    text = " ".join(CliRunner().invoke(app, ["--help"]).stdout.split())
    assert "Works beside a running system" in text
    assert "no bus" in text
