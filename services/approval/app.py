"""The only wiring of approval."""

from datetime import timedelta
from functools import partial

from services.approval.config import ApprovalSettings
from services.approval.consumers import consumers
from services.approval.domain.ceremony import RelyingParty
from services.approval.handlers.challenges import sweep
from services.approval.ports import Dependencies, Limits
from services.approval.routes.api import PhoneRoutes
from services.approval.store import (
    AccountRepository,
    CeremonyRepository,
    DecoyRepository,
    OfferRepository,
    SessionRepository,
    TenantRepository,
)
from shared.assembly import Platform, Wired
from shared.crypto.sealed_box import load_sealer
from shared.crypto.vapid import load_vapid_public
from shared.geoip import GeoIp
from shared.web.frame import Pages


def build(platform: Platform, settings: ApprovalSettings | None = None) -> Wired[Dependencies]:
    """The service, not yet running, with what its handlers work with."""
    assembly = platform.assemble("approval")
    settings, shared, database = settings or ApprovalSettings(), platform.settings, assembly.database
    accounts, tenants = AccountRepository(database, assembly.signer), TenantRepository(database)
    countries = GeoIp(shared.places_file, platform.clock)
    deps = Dependencies(
        accounts=accounts,
        decoys=DecoyRepository(database, assembly.signer),
        sessions=SessionRepository(database),
        ceremonies=CeremonyRepository(database),
        offers=OfferRepository(database),
        tenants=tenants,
        fresh=assembly.fresh,
        clock=platform.clock,
        ids=platform.ids,
        rp=RelyingParty(shared.rp_id, shared.approval_origins),
        notify_sealer=load_sealer(shared.keys, "notify"),
        push_key=load_vapid_public(shared.keys),
        countries=countries,
        limits=Limits(
            session=timedelta(hours=settings.session_hours),
            session_idle=timedelta(minutes=settings.session_idle_minutes),
        ),
    )
    service = assembly.service(
        consumers(deps),
        state=[accounts.source],
        projections={"admin": [tenants.projection, accounts]},
        web=assembly.web(Pages("approval"), PhoneRoutes(deps, assembly.client_networks).routes()),
        background=[partial(sweep, deps), countries.watch],
    )
    return Wired(service, deps)
