"""approval, wired. The only place that knows all its parts; every one can be replaced."""

from datetime import timedelta
from pathlib import Path

from aiohttp import web

from services.approval.config import ApprovalSettings
from services.approval.consumers import consumers
from services.approval.domain.ceremony import RelyingParty
from services.approval.handlers.challenges import SWEEP_BATCH, end_overdue
from services.approval.ports import Limits, Parts
from services.approval.routes import Web
from services.approval.store import AccountStore, CeremonyStore, SessionStore, TenantStore
from shared.run import Platform, Service
from shared.store.outbox import Relay
from shared.web.frame import Pages
from shared.web.server import WebSettings, make_app, networks

NAME = "approval"
SWEEP_EVERY = 1.0


def build(platform: Platform, settings: ApprovalSettings | None = None) -> Service:
    """The service, not yet running."""
    settings = settings or ApprovalSettings()
    relay = Relay(platform.bus, platform.clock)
    database = platform.open_database(NAME, relay)
    shared = platform.settings
    parts = Parts(
        accounts=AccountStore(database),
        sessions=SessionStore(database),
        ceremonies=CeremonyStore(database),
        tenants=TenantStore(database),
        clock=platform.clock,
        ids=platform.ids,
        signer=platform.signer(NAME),
        rp=RelyingParty(shared.rp_id, (shared.origin, *settings.phone_origins)),
        limits=Limits(
            session=timedelta(hours=settings.session_hours),
            session_idle=timedelta(minutes=settings.session_idle_minutes),
        ),
    )

    async def sweep() -> None:
        while True:
            if await end_overdue(parts) < SWEEP_BATCH:
                await platform.clock.sleep(SWEEP_EVERY)

    return Service(
        name=NAME,
        database=database,
        relay=relay,
        handlers=consumers(parts),
        web=_web(platform, parts),
        background=[sweep],
    )


def _web(platform: Platform, parts: Parts) -> web.Application:
    pages = Pages(NAME, Path(__file__).parent)
    origin = platform.settings.origin
    app = make_app(
        pages,
        WebSettings(
            origin=origin,
            trusted_proxies=networks(platform.settings.trusted_proxies),
            features=("camera",),  # to scan the code on the sign-in page
        ),
        clock=platform.clock,
        ids=platform.ids,
    )
    app.add_routes(Web(parts, pages, origin).routes())
    return app
