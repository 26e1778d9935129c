"""What stands before our services, with taken-over ones behind: Caddy, the cluster's router, one process."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.caddy.__main__ import FILE
from deploy.local.backing.port import free_port
from deploy.local.router import Router
from deploy.pages import built, write
from shared.clock import SystemClock
from shared.ids import SystemIds
from shared.services import SERVICES, Host
from shared.testing.waiting import eventually
from shared.web.paths import Origins
from shared.web.server import WEB_SETTINGS, WebSettings, combine, serve
from tests.house.hostile import Taken, Through, ask

REACHED = tuple(row.name for row in SERVICES.values() if row.mounts)
START = "https://m365.example/"


@dataclass(frozen=True)
class Proxy:
    """One of the three, listening on `port` for those origins."""

    port: int
    origins: Origins
    taken: dict[str, Taken]

    def host(self, host: Host) -> str:
        """What a client sends as Host."""
        return self.origins.authority(host)

    async def get(self, host: Host, path: str, *headers: tuple[str, str], method: str = "GET") -> Through:
        return await ask(self.port, self.host(host), path, headers, method)


def origins_at(port: int) -> Origins:
    return Origins(
        f"http://id.localhost:{port}", f"http://console.localhost:{port}", f"http://kiosk.localhost:{port}"
    )


@asynccontextmanager
async def caddy(folder: Path) -> AsyncIterator[Proxy]:
    """The real program with the committed file, as its container starts it, without TLS."""
    port = free_port()
    origins, taken = origins_at(port), {name: Taken(name) for name in REACHED}
    async with AsyncExitStack() as stack:
        upstreams = {}
        for name, each in taken.items():
            behind = await stack.enter_async_context(each.listening())
            upstreams[f"BLOK365_UPSTREAM_{name.upper()}"] = f"127.0.0.1:{behind}"
        await asyncio.to_thread(write, built(), folder / "tree")
        environment = {
            **os.environ,
            **upstreams,
            "BLOK365_ORIGIN": origins.signin,
            "BLOK365_CONSOLE_ORIGIN": origins.console,
            "BLOK365_KIOSK_ORIGIN": origins.kiosk,
            "BLOK365_WSFED_START_URL": START,
            "BLOK365_PAGES": str(folder / "tree"),
            "BLOK365_CADDYFILE": str(FILE),
            "XDG_DATA_HOME": str(folder / "data"),
            "XDG_CONFIG_HOME": str(folder / "config"),
        }
        with (folder / "caddy.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                str(FILE.parent / "start"), env=environment, stdout=log, stderr=log
            )
        try:
            proxy = Proxy(port, origins, taken)

            async def up() -> bool | None:
                assert process.returncode is None, (folder / "caddy.log").read_text()[-2000:]
                try:
                    answers = [
                        await proxy.get(Host.SIGNIN, "/signin/x"),
                        await proxy.get(Host.PHONE, "/api/x"),
                    ]
                except (OSError, asyncio.IncompleteReadError):
                    return None
                return all(answer.status == 200 for answer in answers) or None

            await eventually(up, "Caddy passes on to both services")
            yield proxy
        finally:
            process.terminate()
            await process.wait()


@asynccontextmanager
async def cluster_router(folder: Path) -> AsyncIterator[Proxy]:
    """deploy/local/router.py."""
    port = free_port()
    origins, taken = origins_at(port), {name: Taken(name) for name in REACHED}
    async with AsyncExitStack() as stack:
        backends = {name: [await stack.enter_async_context(each.listening())] for name, each in taken.items()}
        router = Router(origins, backends, start_url=START)
        await router.start(port)
        stack.push_async_callback(router.stop)
        yield Proxy(port, origins, taken)


def one_process(*, streams: bool) -> "Start":
    """shared/web/server.py's `combine`."""

    @asynccontextmanager
    async def start(folder: Path) -> AsyncIterator[Proxy]:
        port = free_port()
        origins, taken = origins_at(port), {name: Taken(name) for name in REACHED}
        apps = {name: each.application(streams=streams) for name, each in taken.items()}
        for app in apps.values():
            app[WEB_SETTINGS] = WebSettings(origin=origins.signin)
        root = combine(
            apps,
            origins,
            tree=built(),
            clock=SystemClock(),
            ids=SystemIds(),
            ready={},
            start_url=START,
        )
        runner, _ = await serve(root, "127.0.0.1", port)
        yield Proxy(port, origins, taken)
        await runner.cleanup()

    return start


Start = Callable[[Path], AbstractAsyncContextManager[Proxy]]
PROXIES: dict[str, Start] = {
    "caddy": caddy,
    "router of the cluster": cluster_router,
    "one process": one_process(streams=False),
    "one process, streams": one_process(streams=True),
}
