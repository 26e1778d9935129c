"""aiohttp to handlers and back: what is decided here is only HTTP. The table of URLs is in `services.wsfed`."""

from aiohttp import web

from services.wsfed.ports import Watch
from services.wsfed.routes.context import RouteContext
from services.wsfed.routes.live import MAX_STREAMS, LiveRoutes
from services.wsfed.routes.logo import LogoRoutes
from services.wsfed.routes.metadata import MetadataRoutes
from services.wsfed.routes.own_page import OwnPageRoutes
from services.wsfed.routes.passive import PassiveRoutes
from services.wsfed.routes.passkeys import PasskeyRoutes
from services.wsfed.routes.sign_in import SignInRoutes
from services.wsfed.routes.trial import TrialRoutes
from shared.web.limits import StreamLimit

__all__ = ["RouteContext", "all_routes"]


def all_routes(context: RouteContext, watch: Watch) -> list[web.RouteDef]:
    """URL to function, for all of wsfed."""
    streams = StreamLimit(each=MAX_STREAMS, total=context.settings.max_streams)
    return [
        *PassiveRoutes(context).routes(),
        *MetadataRoutes(context.deps).routes(),
        *SignInRoutes(context).routes(),
        *PasskeyRoutes(context).routes(),
        *OwnPageRoutes(context).routes(),
        *TrialRoutes(context).routes(),
        *LogoRoutes(context.deps).routes(),
        *LiveRoutes(context, watch, streams).routes(),
    ]
