"""The phone's host: the page and its files beside approval's API, as the proxy puts them together."""

from aiohttp import web

from deploy.pages import built
from shared.clock import SystemClock
from shared.ids import SystemIds
from shared.web.paths import Origins
from shared.web.server import combine


def phone_host(api: web.Application, origin: str) -> web.Application:
    """An application that answers as the phone's host does at that origin, with that API."""
    signin = origin.replace("//key.", "//")
    origins = Origins(signin, "https://console.example", "https://kiosk.example")
    return combine({"approval": api}, origins, tree=built(), clock=SystemClock(), ids=SystemIds())
