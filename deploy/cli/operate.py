"""`blok365 migrate`, `resync`, `restore`, `keys`, `seed`, `dead`."""

import asyncio
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

import typer

from deploy import wiring
from deploy.cli import output
from deploy.cli.options import InTenant, Yes, group
from deploy.cli.session import STORE, completed, open_platform, report_faults, settings_of, with_admin
from deploy.local.platform import make_keys
from deploy.local.run_folder import RunningNow
from services.admin import handlers
from services.admin.handlers import NewAccount
from services.admin.handlers.console_team import end_what_a_backup_calls_open
from services.admin.handlers.removals import forget_removed
from services.admin.ports import Dependencies
from shared.assembly import Wired
from shared.clock import iso_millis
from shared.contracts.envelope import FUTURE_TOLERANCE
from shared.errors import BadInput, Conflict
from shared.ids import SystemIds
from shared.services import SERVICES
from shared.store.port import Database

operations = group("Operating the services.")

FIRST_NAMES = ("Ada", "Grace", "Alan", "Edsger", "Barbara", "Ken", "Radia", "Donald", "Frances", "Tony")
BATCH = 200
"""Accounts whose words are written at once."""
LAST_NAMES = ("Almeida", "Berg", "Costa", "Dubois", "Eriksen", "Fischer", "Garcia", "Haas", "Ito", "Jansen")


@operations.command("migrate")
def migrate(
    context: typer.Context,
    only: Annotated[list[str] | None, typer.Argument(metavar="[SERVICE]...", help="Only these.")] = None,
) -> None:
    """Build the indexes that are missing in the databases of all services. Safe to repeat and to interrupt.

    After an update from a release in which admin did not decide on phones: admin asks for all of them and decides.
    """
    _known(only)

    async def run() -> tuple[list[str], bool, int]:
        platform = open_platform(settings_of(context.obj, STORE))
        built = await wiring.migrate(platform, only or ())
        async with wiring.closing_databases(platform) as closing:
            admins = [*wiring.build(closing, ["admin"])] if "admin" in (only or SERVICES) else []
            indexed = sum([await index_words(admin.dependencies) for admin in admins])
            for admin in admins:
                await forget_removed(admin.dependencies)
            return built, any([await ask_for_undecided_phones(admin) for admin in admins]), indexed

    built, asked, indexed = report_faults(context.obj, lambda: asyncio.run(run()))
    for name in built:
        output.line(name)
    output.line(f"{len(built)} indexes built." if built else "Nothing to build.")
    if indexed:
        output.line(f"{indexed} accounts can be searched for now.")
    if asked:
        output.line(
            "admin decides on the phones that were enrolled before it did, as soon as admin and approval run."
            " Run this again to see whether it is through."
        )


async def index_words(admin: Dependencies) -> int:
    """Write what the console searches and counts by into accounts from before it did; of how many. Can be repeated."""
    count = 0
    while done := await admin.accounts.index_words(BATCH):
        count += done
    after = ""
    while page := await handlers.list_tenants(admin, after=after):
        for each in page:
            last: str | None = ""
            while last is not None:
                last = await admin.authenticators.settle(each.slug, last, BATCH)
        after = page[-1].slug
    return count


async def ask_for_undecided_phones(admin: Wired[Dependencies]) -> bool:
    """Have admin pull all phones, when some were enrolled before it decided on each. Whether there are any.

    To be told of a phone is all that admin needs (docs/flows/enrolment.md, "Phones of before"). Raises Unavailable.
    """
    if not await admin.dependencies.invitations.used_without_key():
        return False
    assert admin.service.subscriptions is not None
    await admin.service.subscriptions.want_all(["approval"])
    return True


@operations.command("resync")
def resync(
    context: typer.Context,
    only: Annotated[list[str] | None, typer.Argument(metavar="[SERVICE]...", help="Only these.")] = None,
) -> None:
    """Let services ask the owners of what they know for their whole current state (docs/flows/replication.md).

    The running services see the wish within seconds; `/readyz` shows when it is done.
    """
    _known(only)

    async def run() -> list[str]:
        asked: list[str] = []
        async with wiring.closing_databases(open_platform(settings_of(context.obj, STORE))) as platform:
            for wired in wiring.build(platform, only or ()):
                if wired.service.subscriptions is not None:
                    await wired.service.subscriptions.want_all()
                    asked.append(wired.service.name)
        return asked

    output.line(
        f"Asked: {', '.join(report_faults(context.obj, lambda: asyncio.run(run()))) or 'nobody follows'}."
    )


@operations.command("restore")
def restore(
    context: typer.Context,
    service: Annotated[str, typer.Argument(help="Whose database was put back to a backup.")],
    yes: Yes = False,
) -> None:
    """Tell the other services that a service's database was put back to a backup (docs/flows/replication.md).

    Put the backup back first, with the service stopped; then run this; then start the service.

    It raises the database's generation: what the backup says then counts more than anything newer elsewhere. Of admin's
    it withdraws all open invitations and ends the sessions of the console: they may have been used, withdrawn or ended
    since the backup was made. Look at `blok365 admin list` afterwards: an administrator who was removed since is back.
    """
    _known([service])
    if (running := context.obj.running) is not None:
        report_faults(context.obj, lambda: _refuse_while_running(running))
    if not yes:
        typer.confirm(f"Is every process of {service} stopped, and its database put back?", abort=True)

    async def run() -> int:
        async with wiring.closing_databases(open_platform(settings_of(context.obj, STORE))) as platform:
            (wired,) = wiring.build(platform, [service])
            return await restored(wired, platform.clock.now())

    generation = report_faults(context.obj, lambda: asyncio.run(run()))
    output.line(
        f"{service}'s database is generation {generation}. Its followers pull everything when it runs."
    )


def _refuse_while_running(running: RunningNow) -> None:
    raise Conflict("cli.restore.running", pid=running.pid)


async def restored(wired: Wired[Any], now: datetime) -> int:
    """Have the service's database, which is a backup, count from now on. Returns its generation.

    Raises Conflict when this clock is ahead of the database's own, Unavailable.
    """
    generation = await raise_generation(wired.service.database, now)
    if wired.service.name == "admin":
        await handlers.withdraw_all(wired.dependencies)
        await end_what_a_backup_calls_open(wired.dependencies)
    return generation


async def raise_generation(database: Database, now: datetime) -> int:
    """Make the generation that of now: later than any that a newer backup may have had, whose database is gone.

    Raises Conflict when this clock is ahead of the database's own, Unavailable. Followers refuse a generation from
    the future, and none can be taken back.
    """
    seconds, _ = (await database.fence()).position
    if now.timestamp() > seconds + FUTURE_TOLERANCE.total_seconds():
        raise Conflict("cli.restore.clock_ahead", now=iso_millis(now))
    return await database.raise_generation(int(now.timestamp()))


@operations.command("dead")
def dead(
    context: typer.Context,
    service: Annotated[str, typer.Argument(help="Whose dead letters.")],
    replay: Annotated[bool, typer.Option("--replay", help="Send them again, all or those named.")] = False,
    ids: Annotated[list[str] | None, typer.Option("--id", help="Only this one; may be repeated.")] = None,
) -> None:
    """Messages that a service could not handle, and why; `--replay` gives them back to its queue.

    Needs RabbitMQ (BLOK365_BUS_URL), with a user who may read the service's dead-letter queue.
    """
    _known([service])

    async def run() -> None:
        from shared.bus import (
            rabbit,  # of the commands only this one needs it before there is something to say
        )

        url = settings_of(context.obj, ()).bus_url
        if not url.startswith("amqp"):
            raise BadInput("cli.dead_letters.no_bus")
        if replay:
            output.line(f"{await rabbit.replay(url, service, ids)} sent again.")
            return
        letters = await rabbit.list_dead(url, service)
        for letter in letters:
            output.line(f"{letter.message.id}  {letter.message.type}  {letter.reason}")
        output.line(f"{len(letters)} dead letters of {service}.")

    report_faults(context.obj, lambda: asyncio.run(run()))


def _known(services: list[str] | None) -> None:
    if unknown := set(services or ()) - set(SERVICES):
        raise typer.BadParameter(f"no service {', '.join(sorted(unknown))}; there are {', '.join(SERVICES)}")


@operations.command("keys")
def keys(context: typer.Context) -> None:
    """Make the services' signing keys and sealing keys that are missing. Existing ones are kept.

    Each service gets `<service>.key`, `<service>.seal` and everybody's `trusted.json`, and no other's files.
    """

    def make() -> None:
        settings = completed(context.obj, {})
        make_keys(settings, SystemIds())
        output.line(f"Keys of {', '.join(SERVICES)} in {settings.keys}.")

    report_faults(context.obj, make)


@operations.command("seed")
def seed(
    context: typer.Context,
    tenant: InTenant,
    accounts: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many.")],
) -> None:
    """Make many accounts for a demo or a measurement: person000001@<the tenant's first domain> and so on.

    Those that exist are left as they are. The other services learn of them from their next pulls, within 20 s.
    """

    async def work(admin: Dependencies) -> int:
        found = await handlers.show_tenant(admin, tenant)
        if not found.domains:
            raise BadInput("cli.tenant.no_domain", tenant=tenant)
        return await handlers.create_accounts(admin, tenant, _new_accounts(accounts, found.domains[0].name))

    output.line(f"{with_admin(context.obj, work)} accounts in {tenant}.")


def _new_accounts(count: int, domain: str) -> Iterator[NewAccount]:
    for number in range(1, count + 1):
        first = FIRST_NAMES[number % len(FIRST_NAMES)]
        last = LAST_NAMES[number // len(FIRST_NAMES) % len(LAST_NAMES)]
        name = f"person{number:06d}"
        yield NewAccount(f"{name}@{domain}", first, f"{last} {number}", f"{name}@mail.example")
