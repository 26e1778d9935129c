"""approval, wired. The only place that knows all its parts; every one can be replaced."""

from datetime import timedelta
from functools import partial
from pathlib import Path

from aiohttp import web

from services.approval.config import ApprovalSettings
from services.approval.consumers import consumers
from services.approval.domain.ceremony import RelyingParty
from services.approval.handlers.challenges import SWEEP_BATCH, end_overdue
from services.approval.ports import Limits, Parts
from services.approval.routes import Web
from services.approval.store import AccountStore, CeremonyStore, SessionStore, TenantStore
from shared.crypto.sealed_box import load_sealer
from shared.crypto.vapid import load_vapid_public
from shared.places import Places
from shared.projection import StateOwner, StateStream
from shared.run import Platform, Service, readiness
from shared.store.outbox import Relay
from shared.web.frame import Pages
from shared.web.server import Ready, WebSettings, make_app, networks

NAME = "approval"
SWEEP_EVERY = 1.0


def build(platform: Platform, settings: ApprovalSettings | None = None) -> Service:
    """The service, not yet running."""
    settings = settings or ApprovalSettings()
    stream = StateStream(platform.clock, platform.ids)
    relay = Relay(platform.bus, platform.clock, stream)
    database = platform.open_database(NAME, relay)
    signer = platform.signer(NAME, stream)
    follower = platform.follower(["admin"], database, signer)
    shared = platform.settings
    accounts = AccountStore(database)
    places = Places(shared.places_file, platform.clock)
    parts = Parts(
        accounts=accounts,
        sessions=SessionStore(database),
        ceremonies=CeremonyStore(database),
        tenants=TenantStore(database),
        clock=platform.clock,
        ids=platform.ids,
        signer=signer,
        rp=RelyingParty(shared.rp_id, (shared.origin, *shared.phone_origins)),
        letterbox=load_sealer(shared.keys, "notify"),
        push_key=load_vapid_public(shared.keys),
        places=places,
        limits=Limits(
            session=timedelta(hours=settings.session_hours),
            session_idle=timedelta(minutes=settings.session_idle_minutes),
        ),
    )

    async def sweep() -> None:
        while True:
            if await end_overdue(parts) < SWEEP_BATCH:
                await platform.clock.sleep(SWEEP_EVERY)

    owner = StateOwner(
        stream,
        [accounts.state],
        database=database,
        signer=signer,
        bus=platform.bus,
        clock=platform.clock,
    )
    return Service(
        name=NAME,
        database=database,
        relay=relay,
        handlers={**follower.tracked(consumers(parts)), **owner.consumers()},
        web=_web(platform, parts, partial(readiness, database, follower)),
        owner=owner,
        follower=follower,
        background=[sweep, places.watch],
    )


def _web(platform: Platform, parts: Parts, ready: Ready) -> web.Application:
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
        ready=ready,
    )
    proxies = networks(platform.settings.trusted_proxies)
    app.add_routes(Web(parts, pages, origin, proxies).routes())
    return app
