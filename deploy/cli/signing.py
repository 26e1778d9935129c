"""`blok365 signing`: roll-over of a tenant's token-signing key (docs/flows/key-roll-over.md)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from deploy.cli.options import InTenant, Options, Yes, group
from deploy.cli.session import opened, opened_admin, report_faults
from services.admin.handlers.operator import roll_keys
from services.wsfed.app import build
from services.wsfed.domain.keys import certificate_base64, certificate_validity, thumbprint
from services.wsfed.handlers import key_rollover
from services.wsfed.ports import Dependencies, KeyRing
from shared.errors import NotFound

signing = group("A tenant's token-signing key, and what Entra must be told.")

AtOnce = Annotated[bool, typer.Option("--at-once", help="Entra has the next certificate already.")]


@signing.command()
def show(context: typer.Context, tenant: InTenant) -> None:
    """The certificates: which signs, which will, which did."""
    _run(context, tenant, lambda deps: key_rollover.show_keys(deps, tenant))


@signing.command("next")
def next_(context: typer.Context, tenant: InTenant) -> None:
    """Step 1: make the next key and publish its certificate."""
    _run(
        context,
        tenant,
        lambda deps: key_rollover.next_key(deps, tenant),
        recorded="next",
        then="Now set nextSigningCertificate in Entra to the next one, and wait 24 hours.",
    )


@signing.command()
def switch(context: typer.Context, tenant: InTenant, at_once: AtOnce = False) -> None:
    """Step 2: sign with the next key."""
    _run(
        context,
        tenant,
        lambda deps: key_rollover.switch_key(deps, tenant, at_once=at_once),
        recorded="switch",
        at_once=at_once,
        then="Every replica signs with it within 10 seconds. Now set signingCertificate in Entra to the current "
        "one and nextSigningCertificate to the same; then promote.",
    )


@signing.command()
def promote(context: typer.Context, tenant: InTenant) -> None:
    """Step 3: destroy the previous key."""
    _run(
        context,
        tenant,
        lambda deps: key_rollover.promote_key(deps, tenant),
        recorded="promote",
        then="The roll-over is finished.",
    )


@signing.command()
def emergency(context: typer.Context, tenant: InTenant, yes: Yes = False) -> None:
    """After a compromise: destroy all keys and make two."""
    if not yes and not typer.confirm(f"Nobody of {tenant} can sign in until Entra has two new keys. Go on?"):
        raise typer.Exit(1)
    _run(
        context,
        tenant,
        lambda deps: key_rollover.emergency_keys(deps, tenant),
        recorded="emergency",
        then="At once: set signingCertificate (current) and nextSigningCertificate (next) in Entra. Entra remembers "
        "the stolen key as the one before: so afterwards switch --at-once, set signingCertificate, promote.",
    )


def _run(
    context: typer.Context,
    tenant: str,
    step: Callable[[Dependencies], Awaitable[KeyRing]],
    *,
    recorded: str = "",
    at_once: bool = False,
    then: str = "",
) -> None:
    """Do the step, and print the certificates and what is to be done `then`. `recorded`: as what admin records it; what
    is recorded as nothing changes nothing.
    """
    options: Options = context.obj

    async def run() -> KeyRing:
        async with opened(options, build) as wired:

            async def work() -> KeyRing:
                try:
                    return await step(wired.dependencies)
                except NotFound as error:
                    raise NotFound("cli.tenant.unknown", tenant=tenant) from error

            if not recorded:
                return await work()
            async with opened_admin(options) as admin:
                return await roll_keys(admin, tenant, recorded, work, at_once=at_once)

    ring = report_faults(options, lambda: asyncio.run(run()))
    for name, certificate in (("current", ring.current), ("next", ring.next), ("previous", ring.previous)):
        if certificate is not None:
            _, until = certificate_validity(certificate)
            typer.echo(f"{name}: SHA-256 {thumbprint(certificate)}, valid until {until:%Y-%m-%d}")
            typer.echo(f"  {certificate_base64(certificate)}")
    if then:
        typer.echo(then)
