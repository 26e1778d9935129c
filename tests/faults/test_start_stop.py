"""Fault: a program that cannot start or stop, or is told to stop at a bad moment.

Real processes. Each ends within ten seconds with exit code 1 and one line that says what is wrong, or with 0 after
a signal; no traceback, and parts that it started are stopped in order.
"""

import asyncio
import fcntl
import json
import re
import signal
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from deploy.local import backing
from deploy.local.backing import BackingService
from deploy.local.backing.port import is_free
from deploy.local.browser import Browser, Page
from deploy.local.entra import entra_standin
from deploy.local.platform import make_keys
from deploy.local.settings import local_settings, port_of
from deploy.local.tenant import DOMAIN, PERSON, TENANT
from deploy.standins.phone.phone import PhoneError, SoftPhone
from shared.errors import BadInput, Unavailable
from shared.ids import SystemIds
from shared.testing.waiting import eventually
from tests.conftest import Vhost
from tests.faults.support import owned
from tests.programs import (
    ENDS,
    LISTENS,
    SIGNALLED,
    Ended,
    blok365,
    ended,
    make_run,
    on,
    started,
    taken,
    three_ports,
)

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackingService]:
    """Of this module alone."""
    with owned(backing.mongod(tmp_path_factory.mktemp("mongod"))) as part:
        yield part


# --- make run ----------------------------------------------------------------------------------------------------


async def enrolled(var: Path, phone: SoftPhone) -> None:
    link = (await blok365(var, "account", "invite", PERSON, "-t", TENANT, "--show-link")).strip()

    async def attempt() -> bool | None:
        try:
            await phone.enrol(link)
        except PhoneError as error:
            if error.status in (404, 410, 503):
                return None  # the invitation is still on its way
            raise
        return True

    await eventually(attempt, "the phone is enrolled")


async def signed_in(phone: SoftPhone, port: int) -> str:
    """A whole sign-in by push at the Entra stand-in; its last page."""
    async with Browser() as browser:
        page = await browser.get(f"http://localhost:{port + 1}/start?username={PERSON}")
        assert page.url.startswith(f"http://id.localhost:{port}/")
        page = await browser.submit(page.form("/push"))
        code = page.code()

        async def approved() -> bool | None:
            try:
                await phone.approve(code)
            except LookupError:
                return None  # the request is still on its way
            return True

        await eventually(approved, "the phone approves")

        async def proved() -> Any:
            now = await browser.get(page.url)
            return now if now.state() == "proved" else None

        page = await eventually(proved, "the page goes on")
        page = await browser.submit(page.form("/token"))
        form = next(form for form in page.forms() if "wresult" in form.fields)
        answer = await browser.submit(form)
        assert answer.status == 200, answer.words()
        return answer.words()


async def signed_out(port: int) -> None:
    """The Entra stand-in sends the browser to us, and we to the page that says so."""
    async with Browser() as browser:
        page = await browser.get(f"http://localhost:{port + 1}/signout?domain={DOMAIN}")
        assert page.status == 200, page.words()
        assert "You're signed out" in page.words()


async def test_make_run_on_another_port_goes_on_with_the_same_data(tmp_path: Path) -> None:
    """Its own mongod, the phone of the first run, and Entra told of the new issuer and addresses."""
    first, second = three_ports(), three_ports()
    async with SoftPhone(ids=SystemIds()) as phone:
        async with make_run(tmp_path, first) as program:
            await program.said(LISTENS)
            await enrolled(tmp_path, phone)
            await signed_in(phone, first)
            await program.stopped()
        async with make_run(tmp_path, second) as program:
            await program.said(LISTENS)
            origin, phones = f"http://id.localhost:{second}", f"http://key.id.localhost:{second}"
            values = json.loads(await blok365(tmp_path, "domain", "entra", DOMAIN, "-t", TENANT, "--json"))
            assert values["issuerUri"] == f"{origin}/t/contoso/contoso.example"
            assert values["passiveSignInUri"] == f"{origin}/t/contoso/wsfed"
            told = await blok365(tmp_path, "domain", "entra", DOMAIN, "-t", TENANT)
            assert f"POST https://graph.microsoft.com/v1.0/domains/{DOMAIN}/federationConfiguration:" in told
            script = await blok365(tmp_path, "domain", "script", DOMAIN, "-t", TENANT)
            assert f"    IssuerUri = '{values['issuerUri']}'" in script
            assert "Ada has one: Software phone" in await program.said("Give Ada a phone")
            assert f"{phones}/ in the browser where it was set up" in await program.said("Approve")
            phone.move(phones)
            await signed_in(phone, second)
            await signed_out(second)
            await program.stopped(signal.SIGINT)
    assert '"exitCode":0' in (tmp_path / "mongo" / "mongod.log").read_text()


async def test_make_run_with_another_host_says_so_and_stops_its_mongod(tmp_path: Path) -> None:
    async with make_run(tmp_path, three_ports()) as program:
        await program.said(LISTENS)
        await program.stopped()
    port = three_ports()
    async with make_run(tmp_path, port, BLOK365_ORIGIN=f"http://login.localhost:{port}") as program:
        line = (await program.ends(ENDS)).one_line()
    assert "was id.localhost when this system was set up, and is login.localhost now" in line
    assert "Set it back to id.localhost" in line
    assert '"exitCode":0' in (tmp_path / "mongo" / "mongod.log").read_text()


@pytest.mark.parametrize("text", ["abc", "0", "70000", "-1", "65535", "8 365", "８３６５"])
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="is not a port number"):
        port_of(text)


async def test_make_run_with_what_is_no_port_says_so(tmp_path: Path) -> None:
    async with started(
        "-m", "deploy", "run", "--var", str(tmp_path), environment={"BLOK365_PORT": "abc"}
    ) as program:
        refused = await program.ends(ENDS)
    assert refused.one_line().startswith("'abc' is not a port number")
    assert refused.err.count("\n") == 1


@pytest.mark.parametrize("behind", [0, 1], ids=["its own", "the stand-in's"])
async def test_make_run_names_a_port_that_is_taken(tmp_path: Path, behind: int) -> None:
    port = three_ports()
    with taken(port + behind):
        async with make_run(tmp_path, port) as program:
            refused = await program.ends(ENDS)
    assert refused.one_line().startswith(f"Cannot listen on port {port + behind}, which is for ")
    assert refused.err.count("\n") == 1


async def test_an_entra_standin_that_ends_at_its_start_is_noticed(tmp_path: Path) -> None:
    """Somebody took its port after we looked."""
    settings = tmp_path / "entra.json"
    settings.write_text('{"domains": [], "users": []}')
    with (
        taken() as port,
        pytest.raises(Unavailable, match=f"did not start on port {port}: Address already in use"),
    ):
        async with entra_standin(port, settings):
            pass


BROKEN = """
    import asyncio, runpy, sys
    from dataclasses import replace
    from services.notify import app

    async def raises():
        raise KeyError("a fault")

    async def hangs():
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                pass

    build = app.build
    def broken(*given):
        wired = build(*given)
        return replace(wired, service=replace(wired.service, {where}=[{what}]))
    app.build = broken
    sys.argv = ["deploy", "run", "--empty", "--verbose", "--var", {var!r}]
    runpy.run_module("deploy", run_name="__main__")
"""
"""`make run` with a notify, the last one to start and the first to stop, that has a fault."""


def broken(var: Path, mongod: BackingService, where: str, what: str) -> Any:
    script = textwrap.dedent(BROKEN.format(where=where, what=what, var=str(var)))
    return started("-c", script, environment={"BLOK365_PORT": str(three_ports()), **on(mongod)})


async def test_make_run_with_a_service_that_fails_to_start(tmp_path: Path, mongod: BackingService) -> None:
    async with broken(tmp_path, mongod, "on_start", "raises") as program:
        line = (await program.ends(ENDS)).one_line()
    assert line.startswith("notify did not start: KeyError: 'a fault'")


async def test_make_run_with_a_service_that_fails_to_stop(tmp_path: Path, mongod: BackingService) -> None:
    async with broken(tmp_path, mongod, "on_stop", "raises") as program:
        await program.said(LISTENS)
        program.send(signal.SIGTERM)
        stopped = await program.ends(SIGNALLED)
    assert stopped.one_line().startswith("notify did not stop in order: KeyError: 'a fault'")
    for service in ("admin", "approval", "wsfed"):
        assert f"service={service}" in stopped.err.partition("service.stopped")[2]
    assert "\x1b" not in stopped.err, "colours are for terminals"


async def test_make_run_with_a_service_that_hangs(tmp_path: Path, mongod: BackingService) -> None:
    """At its start until a signal comes, and at its stop."""
    async with (
        broken(tmp_path / "start", mongod, "on_start", "hangs") as starting,
        broken(tmp_path / "stop", mongod, "on_stop", "hangs") as stopping,
    ):
        await stopping.said(LISTENS)
        await starting.said("wsfed")
        for program in (starting, stopping):
            program.send(signal.SIGTERM)
        for program in (starting, stopping):
            assert NOT_CLEANLY in (await program.ends(SIGNALLED)).one_line()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_make_run_told_to_stop_while_it_starts(
    tmp_path: Path, mongod: BackingService, number: signal.Signals
) -> None:
    """What has begun is stopped in order, also when somebody is impatient and presses Ctrl-C again and again."""
    async with make_run(tmp_path, three_ports(), "--verbose", **on(mongod)) as program:
        await program.said("service.started")
        for _ in range(3):
            program.send(number)
        stopped = await program.ends(SIGNALLED)
    stopped.assert_no_traceback()
    assert stopped.code == 0, stopped
    assert LISTENS not in stopped.out


async def test_make_run_told_to_stop_before_it_has_begun_leaves_no_mongod(tmp_path: Path) -> None:
    """It dies of the signal, and the supervisor of its mongod stops that in order."""
    log = tmp_path / "mongo" / "mongod.log"
    async with make_run(tmp_path, three_ports()) as program:

        async def mongod_starts() -> bool | None:
            return log.exists() or None

        await eventually(mongod_starts, "mongod is being started")
        program.send(signal.SIGINT)
        died = await program.ends(SIGNALLED)
    assert died.err == ""
    assert died.code == -signal.SIGINT

    async def unlocked() -> bool | None:
        with (tmp_path / "mongo" / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return None
        return True

    await eventually(unlocked, "the supervisor is gone, and everything that it kept")


async def test_what_the_command_line_changes_is_known_at_once(tmp_path: Path, mongod: BackingService) -> None:
    """To the services within 300 ms, and to the Entra stand-in when it is next asked: people, tenants, and keys."""
    port = three_ports()
    fabrikam = ("-t", "fabrikam")
    async with make_run(tmp_path, port, **on(mongod)) as program, Browser() as browser:
        await program.said(LISTENS)
        await blok365(tmp_path, "tenant", "add", "fabrikam", "--name", "Fabrikam")
        await blok365(tmp_path, "app", "add", *fabrikam)
        await blok365(tmp_path, "domain", "add", "fabrikam.example", *fabrikam)
        began = time.monotonic()

        async def served() -> Page | None:
            address = f"http://id.localhost:{port}/t/fabrikam/fabrikam.example/mex"
            page = await browser.get(address)
            return page if page.status == 200 else None

        await eventually(served, "wsfed knows the domain")
        assert time.monotonic() - began < 0.3
        bob = ("bob@fabrikam.example", "--first", "Bob", "--last", "Berg", "--email", "bob@private.example")
        await blok365(tmp_path, "account", "add", *bob, *fabrikam)
        assert "bob@fabrikam.example" in (await browser.get(f"http://localhost:{port + 1}/")).text
        start = f"http://localhost:{port + 1}/start?username=bob@fabrikam.example"
        page = await browser.get(start)
        assert page.url.startswith(f"http://id.localhost:{port}/")
        assert page.status == 200
        await program.stopped()


async def test_make_run_a_second_time_says_where_the_first_one_runs(
    tmp_path: Path, mongod: BackingService
) -> None:
    port = three_ports()
    status = ("-m", "deploy", "status", "--var", str(tmp_path))
    nothing = await ended(*status, environment={})
    assert nothing.one_line().startswith("No system is running in")
    async with make_run(tmp_path, port, **on(mongod)) as program:
        await program.said(LISTENS)
        async with make_run(tmp_path, three_ports()) as second:
            line = (await second.ends(ENDS)).one_line()
        assert line.startswith(f"Blok365 is already running at http://localhost:{port} (process ")
        assert f"(process {program.process.pid})" in line
        again = await ended(*status, environment={})
        assert again.code == 0, again
        stopped = await program.stopped()
    # The link for the console's first owner is shown where it was made, and nowhere else.
    first_steps, _, console = again.out.strip().partition("  Console ")
    assert first_steps in stopped.out
    assert "admin invite" in console
    assert "/join/" in stopped.out
    assert "/join/" not in console
    assert "\x1b" not in stopped.out
    assert stopped.err == ""
    lines = (tmp_path / "run" / "log.json").read_text().splitlines()
    assert {json.loads(line)["event"] for line in lines} >= {"service.started", "service.stopped"}
    assert not (tmp_path / "run" / "system.json").exists()


async def test_status_without_the_demo_person_says_so(tmp_path: Path, mongod: BackingService) -> None:
    port = three_ports()
    ada = ("ada@contoso.example", "lovelace@contoso.example", "-t", "contoso")
    async with make_run(tmp_path, port, **on(mongod)) as program:
        await program.said(LISTENS)
        await blok365(tmp_path, "account", "rename", *ada)
        status = await ended("-m", "deploy", "status", "--var", str(tmp_path), environment={})
        assert (status.code, status.err) == (0, "")
        assert "There is no ada@contoso.example now: renamed or removed." in status.out
        await program.stopped()


async def test_make_run_beside_another_as_the_message_says(tmp_path: Path, mongod: BackingService) -> None:
    port = three_ports()
    async with make_run(tmp_path / "first", port, **on(mongod)) as first:
        await first.said(LISTENS)
        async with make_run(tmp_path / "second", port) as refused:
            line = (await refused.ends(ENDS)).one_line()
        other = int(re.findall(r"BLOK365_PORT=(\d+) make run", line)[0])
        async with make_run(tmp_path / "second", other, **on(mongod)) as second:
            await second.said(LISTENS)
            await second.stopped()
        await first.stopped()


async def test_ctrl_c_from_the_very_start_prints_nothing(tmp_path: Path) -> None:
    """As `make run` starts it: the signal is held back until our first statement. It is not lost."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy", "run", "--var", str(tmp_path), "--port", str(three_ports())),
        preexec_fn=partial(signal.pthread_sigmask, signal.SIG_BLOCK, {signal.SIGINT}),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    assert (process.returncode, out, err) == (-signal.SIGINT, b"", b"")


async def test_make_run_killed_leaves_no_entra_standin(tmp_path: Path, mongod: BackingService) -> None:
    """Otherwise the next start would find the port taken."""
    port = three_ports()
    async with make_run(tmp_path, port, **on(mongod)) as program:
        await program.said(LISTENS)
        assert not is_free(port + 1)
        program.send(signal.SIGKILL)
        await program.ends(SIGNALLED)

    async def free() -> bool | None:
        return is_free(port + 1) or None

    await eventually(free, "the stand-in is gone")


async def test_make_run_told_to_stop_while_its_database_is_away(
    tmp_path: Path, own_mongod: BackingService
) -> None:
    async with make_run(tmp_path, three_ports(), **on(own_mongod)) as program:
        await program.said(LISTENS)
        own_mongod.kill()
        program.send(signal.SIGTERM)
        gone = await program.ends(SIGNALLED)
    gone.assert_no_traceback()


# --- one service as a process ------------------------------------------------------------------------------------


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """Key files of all services."""
    make_keys(local_settings(tmp_path, 8365, ""), SystemIds())
    return tmp_path / "keys"


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"BLOK365_ORIGIN": "nonsense"}, "BLOK365_ORIGIN: an origin is"),
        ({"BLOK365_LISTEN": "abc"}, "BLOK365_LISTEN: "),
        (
            {"BLOK365_TRUSTED_PROXIES": "nonsense"},
            'the variable for TRUSTED_PROXIES holds no list; one is written as JSON, such as ["10.0.0.1"',
        ),
        ({"BLOK365_KEYS": "/nowhere"}, "/nowhere/trusted.json: No such file"),
        ({"BLOK365_BUS_URL": "memory:"}, "BLOK365_BUS_URL must name a RabbitMQ server"),
    ],
    ids=["origin", "listen", "json", "keys", "bus"],
)
async def test_service_with_a_wrong_setting(keys: Path, environment: Mapping[str, str], reason: str) -> None:
    wrong = {"BLOK365_KEYS": str(keys), **environment}
    line = json.loads((await ended("-m", "services.approval", environment=wrong)).one_line())
    assert line["event"] == "start.failed"
    assert line["reason"].startswith(reason)


NOT_CLEANLY = "It did not shut down cleanly within"
FAULTY = """
    from dataclasses import replace
    from services.approval import app
    from shared.process import run

    async def raises():
        raise KeyError("a fault")

    def broken(platform):
        wired = app.build(platform)
        return replace(wired, service=replace(wired.service, {where}=[raises]))
    run(broken)
"""


@pytest.mark.parametrize(("where", "what"), [("on_start", "start"), ("on_stop", "stop in order")])
async def test_service_that_fails_to_start_or_stop(
    keys: Path, mongod: BackingService, rabbit: Vhost, where: str, what: str
) -> None:
    environment = {"BLOK365_KEYS": str(keys), "BLOK365_BUS_URL": rabbit.url, **on(mongod)}
    assert (await ended("-m", "deploy.cli", "migrate", "approval", environment=environment)).code == 0
    script = textwrap.dedent(FAULTY.format(where=where))
    async with started("-c", script, environment=environment) as program:
        if where == "on_stop":
            await program.said('"listening"')
            program.send(signal.SIGTERM)
        line = json.loads((await program.ends(ENDS)).one_line())
    assert line["event"] == f"{what.split()[0]}.failed"
    assert line["reason"].startswith(f"approval did not {what}: KeyError: 'a fault'")


async def test_a_silent_part_is_waited_for_no_longer_than_ten_seconds(
    keys: Path, mongod: BackingService, rabbit: Vhost
) -> None:
    """A server that takes the connection and never says a word. One service each, and the database's migration."""
    with taken() as silent:
        good = {"BLOK365_KEYS": str(keys), "BLOK365_BUS_URL": rabbit.url, **on(mongod)}
        good["BLOK365_ORIGIN"] = "http://id.localhost:8365"  # the command line guesses none
        no_bus = {**good, "BLOK365_BUS_URL": f"amqp://guest:guest@127.0.0.1:{silent}/"}
        no_database = {**good, "BLOK365_MONGO_URL": f"mongodb://127.0.0.1:{silent}/"}
        bus, database, migration = await asyncio.gather(
            ended("-m", "services.approval", environment=no_bus),
            ended("-m", "services.approval", environment=no_database),
            ended("-m", "deploy.cli", "migrate", environment=no_database),
        )
    assert "RabbitMQ does not answer" in bus.one_line()
    assert "the database does not answer" in database.one_line()
    assert "the database does not answer" in migration.one_line()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_told_to_stop_while_a_part_is_silent(
    keys: Path, mongod: BackingService, rabbit: Vhost, number: signal.Signals
) -> None:
    """The signal comes when the program waits for the server's first word."""
    connected: asyncio.Queue[int] = asyncio.Queue()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port: int = writer.get_extra_info("sockname")[1]
        connected.put_nowait(port)
        await reader.read(-1)
        writer.close()

    async def told(command: str, variable: str, scheme: str) -> Ended:
        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            environment = {"BLOK365_KEYS": str(keys), "BLOK365_BUS_URL": rabbit.url, **on(mongod)}
            environment[variable] = f"{scheme}://127.0.0.1:{port}/"
            async with started("-m", *command.split(), environment=environment) as program:
                async with asyncio.timeout(ENDS):
                    await connected.get()
                program.send(number)
                return await program.ends(SIGNALLED)

    for command, variable, scheme in (
        ("services.approval", "BLOK365_BUS_URL", "amqp"),
        ("services.approval", "BLOK365_MONGO_URL", "mongodb"),
        ("deploy.cli migrate", "BLOK365_MONGO_URL", "mongodb"),
    ):
        gone = await told(command, variable, scheme)
        gone.assert_no_traceback()
        if command.startswith("services"):
            assert gone.code == 0, gone


# --- any program -------------------------------------------------------------------------------------------------

TOY = """
    import asyncio, sys, threading, time
    from shared.program import run_program, stopping

    async def main():
        async with stopping() as stack:
            stack.callback(print, "first thing stopped", flush=True)
            {body}
            print("waits", flush=True)
            await asyncio.Event().wait()

    sys.exit(run_program(main, lambda reason, remedy: print(reason, remedy, file=sys.stderr, flush=True)))
"""


def toy(body: str) -> Any:
    return started("-c", textwrap.dedent(TOY.format(body=body)), environment={})


async def test_a_program_that_hangs_ends_all_the_same() -> None:
    """In a thread that nobody can stop, or with its event loop blocked at the stop."""
    async with (
        toy("asyncio.get_running_loop().run_in_executor(None, time.sleep, 60)") as in_a_thread,
        toy("stack.callback(time.sleep, 60)") as blocked,
    ):
        for program in (in_a_thread, blocked):
            await program.said("waits")
            program.send(signal.SIGTERM)
        gone = await in_a_thread.ends(SIGNALLED)
        gone.assert_no_traceback()
        assert gone.code == 0
        assert "first thing stopped" in gone.out
        assert NOT_CLEANLY in (await blocked.ends(SIGNALLED)).one_line()


async def test_a_fault_at_the_stop_does_not_hide_the_one_before_it() -> None:
    async with toy("stack.callback(lambda: 1 / 0); raise LookupError('the first')") as program:
        failed = await program.ends(ENDS)
    assert failed.one_line().startswith("LookupError: the first")
    assert "first thing stopped" in failed.out


async def test_a_second_signal_does_not_interrupt_the_stop() -> None:
    body = "stack.push_async_callback(asyncio.sleep, 1); stack.callback(print, 'stopping', flush=True)"
    async with toy(body) as program:
        await program.said("waits")
        program.send(signal.SIGTERM)
        await program.said("stopping")
        stopped = await program.stopped(signal.SIGINT)
    assert "first thing stopped" in stopped.out
