"""All services in one process, on one port, told apart by host and path (shared/web/paths.py)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from deploy.local.settings import notify_settings
from services.admin import app as admin_app
from services.admin.handlers import Admin
from services.approval import app as approval_app
from services.notify import app as notify_app
from services.wsfed import app as wsfed_app
from services.wsfed.config import WsFedSettings
from shared.program import stopping
from shared.run import Platform, Running, Service
from shared.web.paths import Origins
from shared.web.server import combine, serve


@dataclass(frozen=True)
class System:
    """The running whole. `admin`: what the command line works with, too."""

    platform: Platform
    services: dict[str, Running]
    admin: Admin
    port: int


def build_all(platform: Platform, wsfed: WsFedSettings) -> dict[str, Service]:
    """Every service, wired, by name."""
    built = [
        admin_app.build(platform),
        approval_app.build(platform),
        wsfed_app.build(platform, wsfed),
        notify_app.build(platform, notify_settings(platform.settings)),
    ]
    return {service.name: service for service in built}


@asynccontextmanager
async def running(platform: Platform, *, wsfed: WsFedSettings, port: int) -> AsyncIterator[System]:
    """Indexes built, services started, port open; all stopped in order at the end, also when a start failed."""
    wired = admin_app.wire(platform)
    built = [*(build_all(platform, wsfed) | {"admin": wired.service}).values()]
    settings = platform.settings
    async with stopping() as stack:
        services = {service.name: Running(service, platform.bus, platform.clock) for service in built}
        for each in services.values():
            stack.push_async_callback(each.stop)
        # The bus stops before any service: until then it delivers, also to a service whose database is closed, and
        # every flush would wait for handlers that try again.
        stack.push_async_callback(platform.bus.stop)
        for each in services.values():
            await each.service.database.migrate()
        for each in services.values():
            await each.start()
        apps = {service.name: service.web for service in built if service.web is not None}
        origins = Origins(settings.origin, settings.console_origin, settings.kiosk_origin)
        root = combine(apps, origins, clock=platform.clock, ids=platform.ids)
        runner, bound = await serve(root, "127.0.0.1", port)
        stack.push_async_callback(runner.cleanup)
        yield System(platform, services, wired.admin, bound)
