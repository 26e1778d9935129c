"""The only wiring of approval."""

from datetime import timedelta
from functools import partial
from pathlib import Path

from services.approval.config import ApprovalSettings
from services.approval.consumers import consumers
from services.approval.domain.ceremony import RelyingParty
from services.approval.handlers.challenges import sweep
from services.approval.ports import Limits, Parts
from services.approval.routes import Web
from services.approval.store import AccountStore, CeremonyStore, SessionStore, TenantStore
from shared.assembly import Platform, Wired
from shared.crypto.sealed_box import load_sealer
from shared.crypto.vapid import load_vapid_public
from shared.geoip import GeoIp
from shared.web.frame import Pages


def build(platform: Platform, settings: ApprovalSettings | None = None) -> Wired[Parts]:
    """The service, not yet running, with what its handlers work with."""
    assembly = platform.assemble("approval")
    settings, shared, database = settings or ApprovalSettings(), platform.settings, assembly.database
    accounts, tenants = AccountStore(database), TenantStore(database)
    places = GeoIp(shared.places_file, platform.clock)
    parts = Parts(
        accounts=accounts,
        sessions=SessionStore(database),
        ceremonies=CeremonyStore(database),
        tenants=tenants,
        clock=platform.clock,
        ids=platform.ids,
        signer=assembly.signer,
        rp=RelyingParty(shared.rp_id, (shared.origin, *shared.phone_origins)),
        letterbox=load_sealer(shared.keys, "notify"),
        push_key=load_vapid_public(shared.keys),
        places=places,
        limits=Limits(
            session=timedelta(hours=settings.session_hours),
            session_idle=timedelta(minutes=settings.session_idle_minutes),
        ),
    )
    pages = Pages("approval", Path(__file__).parent)
    routes = Web(parts, pages, shared.origin, assembly.proxies).routes()
    service = assembly.service(
        consumers(parts),
        state=[accounts.source],
        projections={"admin": [tenants.projection, accounts]},
        web=assembly.web(pages, routes, features=("camera",)),  # to scan the code on the sign-in page
        background=[partial(sweep, parts), places.watch],
    )
    return Wired(service, parts)
