"""`blok365`: an operator's walk on a real MongoDB, and faults told in one line."""

import asyncio
import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aio_pika
import pytest
import structlog
from pymongo import MongoClient
from typer.testing import CliRunner, Result

from deploy.cli.commands import COMMANDS, app
from deploy.cli.options import Options
from deploy.cli.session import settings_of
from deploy.local import run_folder
from shared.bus.topology import EXCHANGE
from shared.errors import Unavailable
from shared.ids import unb64u
from shared.services import SERVICES
from tests.conftest import Vhost

Blok365 = Callable[..., Result]
ORIGIN = "http://id.localhost:8365"


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Blok365]:
    """The program with a folder of its own and nothing in the environment."""
    for name in ("KEYS", "MONGO_URL", "ORIGIN", "BUS_URL", "TENANT", "DATABASE_PREFIX"):
        monkeypatch.delenv(f"BLOK365_{name}", raising=False)
    yield lambda *arguments: CliRunner().invoke(app, ["--var", str(tmp_path / "var"), *arguments])
    structlog.reset_defaults()


@pytest.fixture
def blok365(
    alone: Blok365, mongo_url: str, mongo_database: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Blok365]:
    """The program on an empty MongoDB."""
    monkeypatch.setenv("BLOK365_ORIGIN", ORIGIN)
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
    shown = json.loads(said(blok365("tenant", "show", "-t", "contoso", "--json")))
    assert shown["domains"][0]["issuer"] == f"{ORIGIN}/t/contoso/contoso.example"
    assert shown["applications"][0]["session_hours"] == 4
    assert "--sign-in known_browsers" in said(blok365("tenant", "policy", "-t", "contoso"))
    strict = ("--sign-in", "known_browsers", "--same-network", "--json")
    policy = json.loads(said(blok365("tenant", "policy", "-t", "contoso", *strict)))
    assert (policy["sign_in"], policy["same_network_or_passkey"]) == ("known_browsers", True)
    assert "known_browsers" in said(blok365("tenant", "policy", "-t", "contoso"))
    assert blok365("tenant", "policy", "-t", "contoso", "--sign-in", "closed").exit_code == 2
    ada = ("--first", "Ada", "--last", "Lovelace", "--email", "ada@home.example", "--json", "--show-link")
    added = json.loads(said(blok365("account", "add", "ada@contoso.example", "-t", "contoso", *ada)))
    assert added["status"] == "invited"
    assert len(unb64u(urlsplit(added["link"]).fragment.rpartition(".")[2])) == 32
    again = said(blok365("account", "invite", "ada@contoso.example", "-t", "contoso", "--show-link")).strip()
    assert again.startswith("http://key.id.localhost:8365/#i=")
    assert again != added["link"]
    king = said(
        blok365("account", "rename", "ada@contoso.example", "ada.king@contoso.example", "-t", "contoso")
    )
    assert "ada.king@contoso.example" in king
    assert added["immutable_id"] in king
    assert "no account" in refused(blok365("account", "show", "ada@contoso.example", "-t", "contoso"))
    assert "no tenant nope" in refused(blok365("account", "show", "ada@contoso.example", "-t", "nope"))
    said(blok365("account", "rename", "ada.king@contoso.example", "ada@contoso.example", "-t", "contoso"))
    change = ("account", "change", "ada@contoso.example", "-t", "contoso")
    assert blok365(*change).exit_code == 2
    assert "Nothing differs" in said(blok365(*change, "--last", "Lovelace"))
    assert "e-mail address" in refused(blok365(*change, "--email", "home"))
    corrected = said(blok365(*change, "--last", "King", "--email", "king@home.example"))
    assert "Ada King; invitations go to king@home.example" in corrected
    assert "blok365 account invite ada@contoso.example" in corrected
    out = ("account", "sign-out-everywhere", "ada@contoso.example", "-t", "contoso")
    assert blok365(*out).exit_code == 1  # asked, and nobody said yes
    assert "everywhere" in said(blok365(*out, "--yes"))
    shown = json.loads(said(blok365("account", "show", "ada@contoso.example", "-t", "contoso", "--json")))
    assert shown["session_epoch"] == 2  # the change of the address raised it, too
    browsers = said(blok365("account", "browsers", "ada@contoso.example", "-t", "contoso", "--json"))
    assert json.loads(browsers) == {"browsers": []}
    gone = ("account", "remove-browser", "ada@contoso.example", "nothing", "-t", "contoso", "--yes")
    assert "is not known in that browser" in refused(blok365(*gone))
    suspend = ("account", "suspend", "ada@contoso.example", "-t", "contoso")
    asked = blok365(*suspend)  # nobody answers
    assert asked.exit_code == 1
    assert "Suspend ada@contoso.example" in asked.stdout
    assert "suspended" not in said(blok365("account", "show", "ada@contoso.example", "-t", "contoso"))
    said(blok365(*suspend, "--yes"))
    assert "nothing to suspend" in refused(blok365(*suspend, "--yes"))
    assert "suspended" in said(blok365("account", "show", "ada@contoso.example", "-t", "contoso"))
    assert "invited" in said(blok365("account", "resume", "ada@contoso.example", "-t", "contoso"))
    assert "removed" in said(blok365("account", "remove", "ada@contoso.example", "-t", "contoso", "--yes"))
    restore = ("account", "restore", "ada@contoso.example", "-t", "contoso")
    assert "invited" in said(blok365(*restore))
    assert "nothing to restore" in refused(blok365(*restore))


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
    monkeypatch.setenv("BLOK365_ORIGIN", ORIGIN)
    monkeypatch.setenv("BLOK365_MONGO_URL", url + "?serverSelectionTimeoutMS=200" * url.endswith("/"))
    for command in (("tenant", "list"), ("migrate",)):
        line = refused(alone(*command))
        assert "hidden" not in line


def test_a_wrong_setting_is_named(alone: Blok365, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLOK365_ORIGIN", "http://signin.example")
    assert "BLOK365_ORIGIN" in refused(alone("keys"))


def test_without_a_running_system_nothing_is_guessed(alone: Blok365, monkeypatch: pytest.MonkeyPatch) -> None:
    said(alone("keys"))
    for command in (("tenant", "list"), ("signing", "show", "-t", "a"), ("domain", "entra", "a", "-t", "a")):
        line = refused(alone(*command))
        assert "BLOK365_ORIGIN and BLOK365_MONGO_URL" in line
        assert "make run" in line
    for on_the_store in (("migrate",), ("resync",), ("restore", "admin", "--yes")):
        line = refused(alone(*on_the_store))
        assert "BLOK365_MONGO_URL" in line
        assert "BLOK365_ORIGIN" not in line, "it writes no address"
    monkeypatch.setenv("BLOK365_MONGO_URL", "mongodb://127.0.0.1:1/")
    line = refused(alone("tenant", "list"))
    assert "BLOK365_ORIGIN" in line
    assert "BLOK365_MONGO_URL" not in line


def test_settings_are_those_of_the_running_system_unless_the_environment_says_otherwise(
    alone: Blok365, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"origin": "http://id.localhost:8901", "mongo_url": "mongodb://127.0.0.1:8999/", "keys": "/keys"}
    with run_folder.hold(tmp_path):
        run_folder.announce(tmp_path, known)
        found = settings_of(Options(tmp_path))
        assert (found.origin, found.mongo_url, found.keys) == (*list(known.values())[:2], Path("/keys"))
        monkeypatch.setenv("BLOK365_ORIGIN", "https://id.example")
        assert settings_of(Options(tmp_path)).origin == "https://id.example"
        assert settings_of(Options(tmp_path)).mongo_url == known["mongo_url"]
    monkeypatch.delenv("BLOK365_ORIGIN")
    with pytest.raises(Unavailable, match="No system is running"):
        settings_of(Options(tmp_path))


def test_what_a_killed_system_left_behind_is_not_taken_for_a_running_one(tmp_path: Path) -> None:
    with run_folder.hold(tmp_path):
        run_folder.announce(tmp_path, {"origin": "http://id.localhost:8901"})
        left = (tmp_path / "run" / "system.json").read_text()
        assert (tmp_path / "run" / "system.json").stat().st_mode & 0o077 == 0
        found = run_folder.find(tmp_path)
        assert found is not None
        assert (found.pid, found.origin) == (os.getpid(), "http://id.localhost:8901")
        with pytest.raises(run_folder.AlreadyRunning), run_folder.hold(tmp_path):
            raise AssertionError("two systems in one folder")
    (tmp_path / "run" / "system.json").write_text(left)
    assert run_folder.find(tmp_path) is None


def test_a_backup_is_not_announced_while_the_system_runs(alone: Blok365, tmp_path: Path) -> None:
    with run_folder.hold(tmp_path / "var"):
        assert f"process {os.getpid()}" in refused(alone("restore", "admin", "--yes"))


@pytest.mark.integration
def test_restore_asks_whether_the_service_is_stopped(blok365: Blok365) -> None:
    said(blok365("keys"))
    asked = blok365("restore", "admin")
    assert asked.exit_code == 1
    assert "stopped" in asked.output
    assert "generation" in said(blok365("restore", "admin", "--yes"))


@pytest.mark.integration
def test_lists_have_headers_and_hints_that_name_commands(blok365: Blok365) -> None:
    for step in (("keys",), ("migrate",), ("tenant", "add", "contoso", "--name", "Contoso")):
        said(blok365(*step))
    contoso = ("-t", "contoso")
    empty = [blok365(group, "list", *contoso) for group in ("app", "domain", "account")]
    assert ["blok365 app add" in empty[0].stderr, "blok365 domain add" in empty[1].stderr] == [True, True]
    assert "blok365 account add" in empty[2].stderr
    said(blok365("domain", "add", "contoso.example", *contoso))
    said(blok365("app", "add", *contoso))
    assert said(blok365("tenant", "list")).splitlines()[0] == "tenant\tname\tdomains\tapplications"
    headers, row = said(blok365("domain", "list", *contoso)).splitlines()
    assert headers == "domain\tissuer"
    assert row == f"contoso.example\t{ORIGIN}/t/contoso/contoso.example"
    assert said(blok365("app", "list", *contoso)).splitlines() == [
        "application\tsession\tfirst method",
        "Microsoft 365\t8 h\tpush",
    ]
    assert [each["name"] for each in json.loads(said(blok365("app", "list", *contoso, "--json")))] == [
        "Microsoft 365"
    ]
    assert "blok365 tenant list" in refused(blok365("account", "list", "-t", "nosuch"))
    assert "blok365 account list -t contoso" in refused(blok365("account", "show", "bob", *contoso))


async def _somebody_reads(url: str) -> None:
    """A queue that takes everything, as the running services have theirs."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
        await (await channel.declare_queue("everything", durable=True)).bind(exchange, "#")


@pytest.mark.integration
def test_over_rabbitmq_a_command_publishes_itself(
    blok365: Blok365, rabbit: Vhost, mongo_url: str, mongo_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the bus has confirmed waits in no outbox for another process to send it."""
    for step in (("keys",), ("migrate",)):
        said(blok365(*step))
    client: MongoClient[dict[str, Any]] = MongoClient(mongo_url)
    with closing(client):
        tenants = client[f"{mongo_database}_admin"]["tenants"]

        def waiting() -> list[str]:
            return [each["type"] for tenant in tenants.find() for each in tenant.get("outbox", [])]

        said(blok365("tenant", "add", "contoso", "--name", "Contoso"))
        assert waiting() == ["admin.tenant.configured.v1"]
        monkeypatch.setenv("BLOK365_BUS_URL", rabbit.url)
        asyncio.run(_somebody_reads(rabbit.url))
        said(blok365("domain", "add", "contoso.example", "-t", "contoso"))
        assert len(waiting()) == 1, "the one before it"


@pytest.mark.integration
def test_without_the_broker_a_change_is_kept_and_said(
    blok365: Blok365, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (("keys",), ("migrate",)):
        said(blok365(*step))
    monkeypatch.setenv("BLOK365_BUS_URL", "amqp://guest:hidden@127.0.0.1:1/")
    result = blok365("tenant", "add", "contoso", "--name", "Contoso")
    assert said(result).startswith("Tenant contoso")
    assert "RabbitMQ does not answer" in result.stderr
    assert "hidden" not in result.stderr


CERTIFICATE = "MIIDCjCCAfKgAwIBAgIUTE9OR0VS"


@pytest.fixture
def federable(blok365: Blok365, mongo_url: str, mongo_database: str) -> Blok365:
    """contoso with a domain and Ada, and the certificate that the sign-in service would have announced."""
    for step in (("keys",), ("migrate",), ("tenant", "add", "contoso", "--name", "Contoso's café")):
        said(blok365(*step))
    said(blok365("domain", "add", "contoso.example", "-t", "contoso"))
    ada = ("--first", "Ada", "--last", "Lovelace", "--email", "ada@home.example")
    said(blok365("account", "add", "ada@contoso.example", "-t", "contoso", *ada))
    client: MongoClient[dict[str, object]] = MongoClient(mongo_url)
    with closing(client):
        row = {"_id": "contoso", "v": 1, "version": 1, "current": CERTIFICATE, "next": None}
        client[f"{mongo_database}_admin"]["certificates"].insert_one(
            {**row, "next_since": None, "previous": None}
        )
    return blok365


@pytest.mark.integration
def test_the_domains_of_a_tenant_that_the_sign_in_service_has_not_met(blok365: Blok365) -> None:
    for step in (("keys",), ("migrate",), ("tenant", "add", "contoso", "--name", "Contoso")):
        said(blok365(*step))
    said(blok365("domain", "add", "contoso.example", "-t", "contoso"))
    for command in ("entra", "script"):
        line = refused(blok365("domain", command, "contoso.example", "-t", "contoso"))
        assert "not said yet which certificate" in line
    assert "no tenant" in refused(blok365("domain", "script", "contoso.example", "-t", "fabrikam"))
    assert "blok365 tenant list" in refused(blok365("signing", "show", "-t", "contoso"))


@pytest.mark.integration
def test_the_script_of_a_domain_is_printed_or_saved(federable: Blok365, tmp_path: Path) -> None:
    domain = ("contoso.example", "-t", "contoso")
    values = json.loads(said(federable("domain", "entra", *domain, "--json")))
    assert (values["signingCertificate"], "nextSigningCertificate" in values) == (CERTIFICATE, False)
    assert "domain script contoso.example" in said(federable("domain", "entra", *domain))
    printed = said(federable("domain", "script", *domain))
    assert "    DisplayName = 'Contoso''s caf' + [char]0x00E9\n" in printed
    assert "domain readiness" in said(federable("domain", "script", *domain, "--out", str(tmp_path)))
    saved = (tmp_path / "federate-contoso.example.ps1").read_bytes()
    assert saved == printed.replace("\n", "\r\n").encode("ascii")
    said(federable("domain", "script", *domain, "--back-out", "--out", str(tmp_path / "undo.ps1")))
    assert b"Make managed again" in (tmp_path / "undo.ps1").read_bytes()
    assert "no domain" in refused(federable("domain", "script", "other.example", "-t", "contoso"))
    assert "no domain '$(x)'" in refused(federable("domain", "script", "$(x)", "-t", "contoso"))
    missing = tmp_path / "missing" / "x.ps1"
    assert "No such file" in refused(federable("domain", "script", *domain, "--out", str(missing)))


@pytest.mark.integration
def test_of_the_connection_to_entra_what_is_not_named_stays(federable: Blok365, tmp_path: Path) -> None:
    properties = tmp_path / "properties.json"
    secret = "a~secret~of~forty~characters~or~nearly~so"
    told = {"client_id": "22222222-2222-4222-8222-222222222222", "tenant_domain": "contoso.onmicrosoft.com"}
    properties.write_text(json.dumps({**told, "client_secret": secret}))
    connect, in_tenant = ("provisioning", "connect"), ("-t", "contoso")
    assert "properties" in refused(federable(*connect, *in_tenant))
    assert "blok365 provisioning test" in said(federable(*connect, str(properties), *in_tenant))
    assert "Switched off" in said(federable(*connect, *in_tenant, "--off"))
    assert "Switched off" in said(federable(*connect, *in_tenant, "--removed", "keep"))
    assert "Switched off" in said(federable(*connect, str(properties), *in_tenant))
    assert "blok365 provisioning test" in said(federable(*connect, *in_tenant, "--on"))
    shown = federable("provisioning", "show", *in_tenant, "--json")
    view = json.loads(said(shown))
    assert (view["when suspended"], view["when removed"]) == ("disable", "keep")
    assert view["in force"] == "not yet"
    assert secret not in shown.output
    assert federable(*connect, *in_tenant, "--removed", "purge").exit_code == 2
    missing = str(tmp_path / "missing.json")
    assert "No such file" in refused(federable(*connect, missing, *in_tenant))
    assert "ada@contoso.example" in refused(
        federable("provisioning", "retry", "ada@contoso.example", *in_tenant)
    )


@pytest.mark.integration
def test_what_the_operator_does_about_provisioning_and_keys_is_recorded(
    federable: Blok365, tmp_path: Path, mongo_url: str, mongo_database: str
) -> None:
    properties, in_tenant = tmp_path / "properties.json", ("-t", "contoso")
    told = {"client_id": "22222222-2222-4222-8222-222222222222", "tenant_domain": "contoso.onmicrosoft.com"}
    properties.write_text(json.dumps({**told, "client_secret": "a~secret~of~forty~characters~or~nearly~so"}))
    said(federable("provisioning", "connect", str(properties), *in_tenant, "--removed", "keep"))
    said(federable("provisioning", "licences", "ada@contoso.example", *in_tenant, "--location", "fr"))
    refused(federable("provisioning", "retry", "ada@contoso.example", *in_tenant))
    refused(federable("signing", "next", *in_tenant))  # wsfed does not run, and has not heard of the tenant
    refused(federable("signing", "show", *in_tenant))
    client: MongoClient[dict[str, Any]] = MongoClient(mongo_url)
    with closing(client):
        kept = list(client[f"{mongo_database}_admin"]["changes"].find(sort=[("at", 1)]))
    assert {(each["tenant"], each["role"], each["administrator"]) for each in kept} == {
        ("contoso", "operator", "")
    }
    assert kept[0]["act"] == "tenant.create"
    connected, licensed, retried, rolled = kept[-4:]
    assert (connected["act"], connected["before"], connected["after"]) == (
        "provisioning.change",
        {"enabled": "no", "when_removed": "delete"},
        {"enabled": "yes", "when_removed": "keep", **told},
    )
    assert (licensed["act"], licensed["after"]) == ("account.change_licences", {"location": "FR"})
    assert (retried["act"], retried["outcome"]) == ("account.retry_provisioning", "refused")
    assert (rolled["act"], rolled["outcome"]) == ("keys.roll", "refused")
    assert "a~secret" not in str(kept)


@pytest.mark.integration
def test_readiness_names_who_would_be_locked_out(federable: Blok365) -> None:
    listed = federable("domain", "readiness", "contoso.example", "-t", "contoso")
    assert said(listed) == ("user name\tname\tstatus\nada@contoso.example\tAda Lovelace\tinvited\n")
    assert "1 of 1 people of contoso.example have no authenticator" in listed.stderr
    found = json.loads(said(federable("domain", "readiness", "contoso.example", "-t", "contoso", "--json")))
    assert found == {"domain": "contoso.example", "people": 1, "without": ["ada@contoso.example"]}
    assert "no domain" in refused(federable("domain", "readiness", "other.example", "-t", "contoso"))


@pytest.mark.integration
@pytest.mark.parametrize("command", [("tenant", "list"), ("account", "list", "-t", "contoso"), ("--help",)])
def test_a_command_takes_less_than_seven_tenths_of_a_second_of_the_processor(
    blok365: Blok365, tmp_path: Path, command: tuple[str, ...]
) -> None:
    for step in (("keys",), ("migrate",), ("tenant", "add", "contoso", "--name", "Contoso")):
        said(blok365(*step))
    program = (sys.executable, "-m", "deploy.cli", "--var", str(tmp_path / "var"))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run((*program, *command), check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert took < 0.7


SLOW_TO_IMPORT = ("aio_pika", "aiohttp", "jinja2", "lxml", "rich", "webauthn")


def test_a_command_imports_nothing_slow_that_it_does_without() -> None:
    """The same as above, and no busy machine lets it pass or fail."""
    program = "import sys, deploy.cli.session as _; print(*sys.modules)"
    done = subprocess.run((sys.executable, "-c", program), check=True, capture_output=True, text=True)
    assert set(SLOW_TO_IMPORT).isdisjoint(done.stdout.split())


def test_every_command_of_the_list_is_there_and_says_what_it_does(alone: Blok365) -> None:
    listed = said(alone("--help"))
    for name, entry in COMMANDS.items():
        assert f"  {name} " in listed
        assert entry.help in " ".join(listed.split())
        assert f"blok365 {name}" in said(alone(name, "--help")).replace("root", "blok365")


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
    assert "It works beside a running system" in text
    assert "in force at once" in text


def test_a_choice_that_is_none_is_told_with_those_that_are(alone: Blok365) -> None:
    wrong = alone("tenant", "policy", "-t", "contoso", "--sign-in", "nonsense")
    assert wrong.exit_code == 2
    assert "'nonsense' is not one of 'open', 'known_browsers', 'passkeys_only'" in wrong.stderr
    assert "Value error" not in wrong.stderr


def test_a_list_in_the_environment_that_is_none_is_told_by_its_name(
    alone: Blok365, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BLOK365_TRUSTED_PROXIES", "10.0.0.1")
    line = refused(alone("tenant", "list"))
    assert "TRUSTED_PROXIES" in line
    assert '["10.0.0.1", "10.0.0.2"]' in line


@pytest.mark.integration
def test_an_operator_names_the_first_owner(blok365: Blok365, monkeypatch: pytest.MonkeyPatch) -> None:
    said(blok365("keys"))
    said(blok365("migrate"))
    said(blok365("tenant", "add", "contoso", "--name", "Contoso"))
    invite = ("admin", "invite", "-t", "contoso", "--name", "Olga", "--email", "olga@contoso.example")
    monkeypatch.delenv("BLOK365_CONSOLE_ORIGIN", raising=False)
    assert "BLOK365_CONSOLE_ORIGIN" in refused(blok365(*invite))  # the link would lead elsewhere
    monkeypatch.setenv("BLOK365_CONSOLE_ORIGIN", "https://console.bank.example")
    monkeypatch.setenv("BLOK365_ORIGIN", "https://id.bank.example")
    monkeypatch.setenv("BLOK365_KIOSK_ORIGIN", "https://kiosk.bank.example")
    link = said(blok365(*invite)).strip()
    assert re.fullmatch(r"https://console\.bank\.example/join/contoso/[\w-]{22}#[\w-]{43}", link)
    listed = json.loads(said(blok365("admin", "list", "-t", "contoso", "--json")))
    assert listed["administrators"] == []
    assert [(each["name"], each["role"]) for each in listed["invitations"]] == [("Olga", "owner")]
    assert "There is no tenant nowhere" in refused(blok365("admin", "list", "-t", "nowhere"))
