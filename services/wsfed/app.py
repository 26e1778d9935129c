"""The only wiring of wsfed."""

from functools import partial

from services.wsfed.config import WsFedSettings
from services.wsfed.consumers import consumers
from services.wsfed.gateways import PageWaker
from services.wsfed.handlers.sign_in_figures import count_for_ever
from services.wsfed.pages import SignInPages
from services.wsfed.ports import Dependencies
from services.wsfed.routes import RouteContext, all_routes
from services.wsfed.store import (
    BrowserRepository,
    DirectoryRepository,
    FirstUseRepository,
    IssuanceRepository,
    LogoRepository,
    SessionRepository,
    SignInFigureRepository,
    SigningKeyRepository,
    TransactionRepository,
)
from shared.assembly import Platform, Wired
from shared.geoip import GeoIp
from shared.ids import new_id
from shared.store.pinned_settings import pin_rp_id, pinned_settings
from shared.store.sealing import SealingKey
from shared.web.cookies import Csrf
from shared.web.problems import Link


def build(platform: Platform, settings: WsFedSettings | None = None) -> Wired[Dependencies]:
    """The service, not yet running, with what its handlers work with."""
    assembly = platform.assemble("wsfed")
    settings, shared, database = settings or WsFedSettings(), platform.settings, assembly.database
    sealing = SealingKey.from_file(shared.keys / "wsfed.seal", platform.ids)
    issuances = IssuanceRepository(database, new_id(platform.ids))
    transactions = TransactionRepository(database, platform.clock)
    waker = PageWaker(platform.bus, new_id(platform.ids), transactions.forget)
    directory = DirectoryRepository(
        database, platform.clock, trust_without_decision=settings.trust_without_decision
    )
    browsers = BrowserRepository(database, assembly.signer, platform.clock)
    keys = SigningKeyRepository(database, sealing, platform.clock, assembly.signer)
    logos = LogoRepository(database)
    first_uses = FirstUseRepository(database, assembly.signer, platform.clock)
    figures = SignInFigureRepository(database, assembly.signer)
    geoip = GeoIp(shared.places_file, platform.clock)
    deps = Dependencies(
        transactions=transactions,
        sessions=SessionRepository(database),
        browsers=browsers,
        directory=directory,
        logos=logos,
        keys=keys,
        first_uses=first_uses,
        figures=figures,
        issuances=issuances,
        wake=waker,
        fresh=assembly.fresh,
        signer=assembly.signer,
        clock=platform.clock,
        ids=platform.ids,
        origin=shared.origin,
        phone_origin=shared.origins.phone,
        rp_id=shared.rp_id,
        expected_origins=frozenset(shared.approval_origins),
    )
    pages = SignInPages()
    context = RouteContext(
        deps=deps,
        settings=settings,
        pages=pages,
        csrf=Csrf.from_file(shared.keys / "wsfed.csrf", shared.origin),
        client_networks=assembly.client_networks,
        geoip=geoip,
    )
    routes = all_routes(context, waker.watching)
    # COOP is off: applications that sign in through a popup keep a handle on it across our pages, and without the
    # handle they take the sign-in for cancelled. Framing stays forbidden.
    web = assembly.web(
        pages.pages, routes, coop="unsafe-none", way_on=Link(settings.cloud().start_url, "Microsoft 365")
    )
    rp_id_is_kept = partial(pin_rp_id, pinned_settings(database), shared.rp_id)
    service = assembly.service(
        consumers(deps),
        state=[browsers.source, keys.source, first_uses.source, *figures.sources],
        projections={
            "admin": [
                directory.tenants,
                logos.projection,
                directory.accounts,
                directory.invitations,
                directory.authenticators,
            ],
            "approval": [directory.devices, directory.claims_waiting],
        },
        web=web,
        background=[
            geoip.watch,
            browsers.write_days,
            first_uses.write_noted,
            partial(count_for_ever, deps),
        ],
        on_start=[rp_id_is_kept, waker.start],
        on_stop=[issuances.flush, browsers.flush, first_uses.flush],
    )
    return Wired(service, deps)
