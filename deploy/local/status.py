"""What runs, and what to do there: the text that `make run` prints and `make status` prints again."""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path

import typer

from deploy.cli.options import Options
from deploy.cli.session import opened, report_faults
from deploy.local import example, run_folder, tenant
from deploy.local.run_folder import RunningNow
from services.admin import app as admin_app
from services.admin import handlers as admin
from services.admin.domain.devices import ListedDevice
from services.admin.ports import Dependencies
from shared.errors import NotFound
from shared.settings import Settings

ROOT = Path(__file__).parents[2]
PHONE_STORE = Path("var/phone.json")
"""Where the software phone keeps its keys, unless told otherwise."""


def show(var: Path, found: RunningNow) -> int:
    """Print it for the system that runs. Returns the exit code."""
    options = Options(var)

    async def work() -> str:
        async with opened(options, partial(admin_app.build, pages=False)) as wired:
            there = await wired.dependencies.tenants.get(example.TENANT) is not None
            return await summary(wired.dependencies, var, found, example_line=example.LINE if there else "")

    try:
        print(report_faults(options, lambda: asyncio.run(work())))
    except typer.Exit as fault:  # it has said on standard error what is wrong
        return fault.exit_code
    return 0


async def summary(
    deps: Dependencies, var: Path, found: RunningNow, *, link: str = "", example_line: str = ""
) -> str:
    """The text, with what Ada has and how far each domain is by now. `link`: the one-time link of the console's first
    owner, if one was made. `example_line`: what is said of the example organisation, if there is one.

    Raises Unavailable.
    """
    console = await _console(deps, var, found, link)
    try:
        devices = await adas_phones(deps)
    except NotFound:
        first = _without_ada(var, found)
    else:
        first = [*_first_sign_in(devices, var, found), ""]
    return _text([*first, *console, *await _domains(deps), *_stand_ins(found)], var, example_line)


async def _console(deps: Dependencies, var: Path, found: RunningNow, link: str) -> list[str]:
    if (await deps.teams.get(tenant.TENANT)).owners:
        return _step("Console", [f"{found.settings.get('console_origin', '')}/"])
    if link:
        return _step("Console", ["as its first owner, within 10 minutes and once:", link])
    owner = f"-t {tenant.TENANT} --name Olga --email olga@{tenant.DOMAIN}"
    return _step(
        "Console", ["a one-time link for its first owner:", f"{command_line(var)} admin invite {owner}"]
    )


async def _domains(deps: Dependencies) -> list[str]:
    """How far each domain of the demo tenant is, as the console says it."""
    lines = []
    for domain in (await admin.show_tenant(deps, tenant.TENANT)).domains:
        used = await deps.first_uses.of(tenant.TENANT, domain.name)
        if used is None:
            progress = "no request yet"
        elif used.first_sign_in_at is None:
            progress = f"first request {_moment(used.first_request_at)}, nobody has signed in yet"
        else:
            progress = f"first sign-in {_moment(used.first_sign_in_at)}"
        lines.append(f"{domain.name}: {progress}")
    return _step("Domains", ["how far each one is:", *lines]) if lines else []


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _stand_ins(found: RunningNow) -> list[str]:
    lines = [f"PowerShell, for the script that federates a domain: {found.entra}/powershell"]
    if found.graph:
        lines.append(f"the users of Microsoft Graph: {found.graph}/")
    return _step("Stand-ins", ["on this machine:", *lines])


async def adas_phones(deps: Dependencies) -> list[ListedDevice]:
    """The phones that admin has not refused and nobody has removed. Raises NotFound (no Ada now), Unavailable."""
    listed = await admin.list_devices(deps, tenant.TENANT, tenant.PERSON)
    return [device for device in listed if device.may_count]


def _first_sign_in(devices: Sequence[ListedDevice], var: Path, found: RunningNow) -> list[str]:
    origin = Settings(origin=found.origin).origins.phone
    if not devices:
        first = ["in a browser: the page above leads you; or in software, here:", enrol_command(var)]
        last = ["on the phone; in software:", approve_command(origin)]
    else:
        first = [f"Ada has one: {', '.join(device.name for device in devices)}"]
        last = (
            ["with the software phone:", approve_command(origin)]
            if software_phone() & {device.id for device in devices}
            else [f"on the phone: {origin}/ in the browser where it was set up"]
        )
    return [
        f"Blok365 runs. Open {found.front}/ and it leads you to your first sign-in.",
        "",
        *_step("1  Give Ada a phone", first),
        *_step("2  Sign in", [f"{found.entra}/ (a stand-in for Microsoft 365), as {tenant.PERSON}"]),
        *_step("3  Approve", last),
    ]


def _without_ada(var: Path, found: RunningNow) -> list[str]:
    return [
        f"Blok365 runs at {found.front}/. There is no {tenant.PERSON} now: renamed or removed.",
        "",
        *_step("Who there is", [f"{command_line(var)} account list -t {tenant.TENANT}"]),
        *_step("Sign in", [f"{found.entra}/ (a stand-in for Microsoft 365)"]),
    ]


def _text(sign_in: Sequence[str], var: Path, example_line: str) -> str:
    return "\n".join(
        [
            "",
            *sign_in,
            "",
            *([f"  Example        {example_line}"] if example_line else []),
            f"  Command line   {command_line(var)} --help",
            f"  This again     {_make_status(var)}",
            f"  Log            {shortest(run_folder.log_file(var))}",
            "  Stop           Ctrl-C stops; the next start goes on with the same data",
            "",
        ]
    )


def _make_status(var: Path) -> str:
    return "make status" if _is_default(var) else f"make status ARGS='--var {shortest(var)}'"


def _is_default(var: Path) -> bool:
    return var.resolve() == ROOT / "var"


def command_line(var: Path) -> str:
    """How to call the command line from here for the system in that folder."""
    program = shortest(ROOT / "blok365")
    return program if _is_default(var) else f"{program} --var {shortest(var)}"


def enrol_command(var: Path) -> str:
    """What gives Ada a phone in software."""
    invite = f"account invite {tenant.PERSON} -t {tenant.TENANT} --show-link"
    return f'{_PHONE} enrol "$({command_line(var)} {invite})"'


def approve_command(origin: str) -> str:
    """What approves in software. `origin`: the phone's, which follows the port."""
    return f"{_PHONE} --origin {origin} approve"


def shortest(path: Path) -> str:
    """The path as one would type it here."""
    relative = os.path.relpath(path)
    if relative.startswith(".."):
        return str(path.absolute())
    return relative if os.sep in relative else f".{os.sep}{relative}"


def _step(name: str, lines: Sequence[str]) -> list[str]:
    return [f"  {name:<22}{lines[0]}", *(f"{'':>7}{line}" for line in lines[1:])]


def software_phone() -> set[str]:
    """The devices that the software phone is, if it has keys."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return {str(key["device"]) for key in json.loads(PHONE_STORE.read_text())["keys"]}
    return set()


_PHONE = f"{shortest(Path(sys.executable))} -m deploy.standins.phone"
