"""wsfed, wired. The only place that knows all its parts; every one can be replaced."""

from dataclasses import dataclass
from functools import partial

from aiohttp import web
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from services.wsfed.config import WsFedSettings
from services.wsfed.consumers import consumers
from services.wsfed.gateways import PageWaker
from services.wsfed.handlers import WsFed
from services.wsfed.pages import SignInPages
from services.wsfed.routes import Web
from services.wsfed.store import (
    StoredDirectory,
    StoredIssuances,
    StoredSessions,
    StoredSigningKeys,
    StoredTransactions,
)
from shared.ids import new_id
from shared.places import Places
from shared.run import Platform, Service, readiness
from shared.store.fixed import fixed_settings, hold_rp_id
from shared.store.outbox import Relay
from shared.store.sealing import SealingKey
from shared.web import problems
from shared.web.cookies import Csrf
from shared.web.server import Ready, WebSettings, make_app, networks

NAME = "wsfed"


@dataclass(frozen=True)
class Wired:
    """The service, and what its handlers take: for the command line, which calls them itself."""

    service: Service
    wsfed: WsFed


def build(platform: Platform, settings: WsFedSettings | None = None) -> Service:
    """The service, not yet running."""
    return wire(platform, settings).service


def wire(platform: Platform, settings: WsFedSettings | None = None) -> Wired:
    """Everything that wsfed is made of."""
    settings = settings or WsFedSettings()
    relay = Relay(platform.bus, platform.clock)
    database = platform.open_database(NAME, relay)
    signer = platform.signer(NAME)
    follower = platform.follower(["admin", "approval"], database, signer)
    shared = platform.settings
    key_file = shared.keys / f"{NAME}.seal"
    issuances = StoredIssuances(database, new_id(platform.ids))
    transactions = StoredTransactions(database, platform.clock)
    waker = PageWaker(platform.bus, new_id(platform.ids), transactions.forget)
    fixed = fixed_settings(database)
    places = Places(shared.places_file, platform.clock)
    wsfed = WsFed(
        transactions=transactions,
        sessions=StoredSessions(database),
        directory=StoredDirectory(database, platform.clock),
        keys=StoredSigningKeys(database, SealingKey.from_file(key_file, platform.ids), platform.clock),
        issuances=issuances,
        wake=waker,
        fresh=follower.fresh,
        signer=signer,
        clock=platform.clock,
        ids=platform.ids,
        origin=shared.origin,
        rp_id=shared.rp_id,
        expected_origins=frozenset({shared.origin, *settings.phone_origins}),
    )
    service = Service(
        name=NAME,
        database=database,
        relay=relay,
        handlers=follower.tracked(consumers(wsfed)),
        web=_web(
            platform,
            settings,
            wsfed,
            waker,
            places,
            key_file.read_bytes(),
            partial(readiness, database, follower),
        ),
        follower=follower,
        background=[places.watch],
        on_start=[partial(hold_rp_id, fixed, shared.rp_id), waker.start],
        on_stop=[issuances.flush],
    )
    return Wired(service, wsfed)


def _web(
    platform: Platform,
    settings: WsFedSettings,
    wsfed: WsFed,
    waker: PageWaker,
    places: Places,
    secret: bytes,
    ready: Ready,
) -> web.Application:
    pages = SignInPages()
    origin = platform.settings.origin
    proxies = networks(platform.settings.trusted_proxies)
    csrf_key = HKDF(SHA256(), 32, salt=None, info=b"blok365 wsfed csrf").derive(secret)
    app = make_app(
        pages.pages,
        # Applications that sign in through a popup keep a handle on it across our pages; severed by COOP, they
        # take the sign-in for cancelled. Framing stays forbidden.
        WebSettings(origin=origin, trusted_proxies=proxies, coop="unsafe-none"),
        clock=platform.clock,
        ids=platform.ids,
        ready=ready,
    )
    app[problems.USUAL_WAY_ON] = problems.Link(settings.start_url, "Microsoft 365")
    routes = Web(
        wsfed=wsfed,
        settings=settings,
        pages=pages,
        csrf=Csrf(csrf_key, origin),
        watch=waker.watching,
        proxies=proxies,
        places=places,
    )
    app.add_routes(routes.routes())
    return app
