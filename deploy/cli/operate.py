"""`blok365 migrate`, `keys`, `seed`."""

import asyncio
from collections.abc import Iterator
from typing import Annotated

import typer

from deploy import tree
from deploy.cli import output
from deploy.cli.session import open_platform, told, with_admin
from deploy.cli.tenants import InTenant
from deploy.local.platform import make_keys
from services.admin import handlers
from services.admin.handlers import Admin, NewAccount
from shared.contracts import SERVICES
from shared.errors import BadInput
from shared.ids import SystemIds

FIRST_NAMES = ("Ada", "Grace", "Alan", "Edsger", "Barbara", "Ken", "Radia", "Donald", "Frances", "Tony")
LAST_NAMES = ("Almeida", "Berg", "Costa", "Dubois", "Eriksen", "Fischer", "Garcia", "Haas", "Ito", "Jansen")


def migrate(
    context: typer.Context,
    only: Annotated[list[str] | None, typer.Argument(metavar="[SERVICE]...", help="Only these.")] = None,
) -> None:
    """Build the indexes that are missing in the databases of all services. Safe to repeat and to interrupt."""
    if unknown := set(only or ()) - set(tree.names("app")):
        raise typer.BadParameter(f"no service {', '.join(sorted(unknown))}")

    async def run() -> list[str]:
        built: list[str] = []
        for service in tree.services(open_platform(context.obj.settings()), only or ()):
            try:
                built += await service.database.migrate()
            finally:
                await service.database.close()
        return built

    built = told(context.obj, lambda: asyncio.run(run()))
    for name in built:
        output.line(name)
    output.line(f"{len(built)} indexes built." if built else "Nothing to build.")


def keys(context: typer.Context) -> None:
    """Make the services' signing keys and sealing keys that are missing. Existing ones are kept.

    Each service gets `<service>.key`, `<service>.seal` and everybody's `trusted.json`, and no other's files.
    """

    def make() -> None:
        settings = context.obj.settings()
        make_keys(settings, SystemIds())
        output.line(f"Keys of {', '.join(SERVICES)} in {settings.keys}.")

    told(context.obj, make)


def seed(
    context: typer.Context,
    tenant: InTenant,
    people: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many.")],
) -> None:
    """Make many accounts for a demo or a measurement: person000001@<the tenant's first domain> and so on.

    Those that exist are left as they are. A running admin process tells the other services, 200 a second.
    """

    async def work(admin: Admin) -> int:
        found = await handlers.show_tenant(admin, tenant)
        if not found.domains:
            raise BadInput(f"{tenant} has no domain.", remedy="Run `blok365 domain add` first.")
        return await handlers.create_accounts(admin, tenant, _people(people, found.domains[0].name))

    output.line(f"{with_admin(context.obj, work)} people in {tenant}.")


def _people(count: int, domain: str) -> Iterator[NewAccount]:
    for number in range(1, count + 1):
        first = FIRST_NAMES[number % len(FIRST_NAMES)]
        last = LAST_NAMES[number // len(FIRST_NAMES) % len(LAST_NAMES)]
        name = f"person{number:06d}"
        yield NewAccount(f"{name}@{domain}", first, f"{last} {number}", f"{name}@mail.example")
