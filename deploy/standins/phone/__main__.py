"""`python -m deploy.standins.phone`: a phone at the command line."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import typer

from deploy.standins.phone.phone import PhoneError, SoftPhone
from deploy.standins.phone.request import Request

app = typer.Typer(no_args_is_help=True, add_completion=False, help="A phone in software, for tests and demo.")

Store = Annotated[Path, typer.Option("--store", help="File that keeps the phone's keys (mode 0600).")]
Connect = Annotated[str | None, typer.Option("--connect", help="http://host:port to connect to instead.")]
Chosen = Annotated[str | None, typer.Argument(help="Id of the request; the first one without it.")]
Link = Annotated[str, typer.Argument(help="Invitation link, with its #fragment.")]
Scanned = Annotated[str, typer.Argument(help="Text of the QR code.")]
Code = Annotated[
    str,
    typer.Option(
        "--code",
        prompt=True,
        show_default=False,
        help="Digits that the sign-in page shows; empty where it shows none.",
    ),
]
ProofFile = Annotated[Path | None, typer.Option("--proof", help="Write the proof there as JSON.")]
ScanText = Annotated[str | None, typer.Option("--scan", help="Approve the request behind this QR code.")]

_STORE = Path("var/phone.json")
_CA = "SSL_CERT_FILE"  # OpenSSL's own name for it
_ORIGIN = "BLOK365_PHONE_ORIGIN"


@app.callback()
def options(
    ca: Annotated[
        Path | None, typer.Option("--ca", help="Certificates (PEM) to trust for https, not the system's.")
    ] = None,
    origin: Annotated[
        str | None, typer.Option("--origin", help="Where the server is now, when its port has changed.")
    ] = None,
) -> None:
    """What stands before the command."""
    if ca is not None:
        os.environ[_CA] = os.fspath(ca)
    if origin is not None:
        os.environ[_ORIGIN] = origin


def _run(store: Path, connect: str | None, what: Callable[[SoftPhone], Awaitable[Any]]) -> Any:
    ca = Path(os.environ[_CA]) if _CA in os.environ else None

    async def with_phone() -> Any:
        async with SoftPhone(store, connect=connect, ca=ca) as phone:
            if origin := os.environ.get(_ORIGIN):
                phone.move(origin)
            return await what(phone)

    try:
        return asyncio.run(with_phone())
    except aiohttp.ClientConnectorError as error:
        typer.echo(f"phone: {error.host}:{error.port} does not answer: does Blok365 run there?", err=True)
        raise typer.Exit(1) from error
    except (PhoneError, LookupError, ValueError, aiohttp.ClientError) as error:
        typer.echo(f"phone: {error}", err=True)
        raise typer.Exit(1) from error


@app.command()
def enrol(link: Link, store: Store = _STORE, connect: Connect = None, name: str = "Software phone") -> None:
    """Make a key for an invitation link."""
    key = _run(store, connect, lambda phone: phone.enrol(link, name=name))
    typer.echo(f"enrolled {key.upn} as device {key.device}")


@app.command("list")
def list_requests(store: Store = _STORE, connect: Connect = None) -> None:
    """Open requests, one JSON object a line."""
    for request in _run(store, connect, lambda phone: phone.list()):
        typer.echo(_line(request))


@app.command()
def scan(text: Scanned, store: Store = _STORE, connect: Connect = None) -> None:
    """The request behind a QR code."""
    typer.echo(_line(_run(store, connect, lambda phone: phone.scan(text))))


@app.command()
def approve(
    code: Code = "",
    request: Chosen = None,
    scan: ScanText = None,
    proof: ProofFile = None,
    store: Store = _STORE,
    connect: Connect = None,
) -> None:
    """Approve with the code from the sign-in page, if it shows one."""

    async def step(phone: SoftPhone) -> dict[str, str]:
        return await phone.approve(code, await phone.scan(scan) if scan else request)

    made = _run(store, connect, step)
    if proof is not None:
        proof.parent.mkdir(parents=True, exist_ok=True)
        proof.write_text(json.dumps(made, indent=2) + "\n")
    typer.echo("approved")


@app.command()
def deny(request: Chosen = None, store: Store = _STORE, connect: Connect = None) -> None:
    """Refuse a request."""
    _run(store, connect, lambda phone: phone.deny(request))
    typer.echo("denied")


@app.command("not-me")
def not_me(request: Chosen = None, store: Store = _STORE, connect: Connect = None) -> None:
    """Refuse a request, and report that somebody else asked."""
    _run(store, connect, lambda phone: phone.not_me(request))
    typer.echo("reported")


@app.command()
def devices(store: Store = _STORE, connect: Connect = None) -> None:
    """The account's phones, one JSON object a line."""
    for device in _run(store, connect, lambda phone: phone.devices()):
        typer.echo(json.dumps(device))


@app.command()
def remove(device: str, store: Store = _STORE, connect: Connect = None) -> None:
    """Take one of the account's phones out of use."""
    _run(store, connect, lambda phone: phone.remove_device(device))
    typer.echo("removed")


def _line(request: Request) -> str:
    told: dict[str, object] = {"id": request.id, "method": request.method}
    told |= {"network_differs": request.network_differs, "country_differs": request.country_differs}
    return json.dumps({**told, **request.facts})


if __name__ == "__main__":
    app()
