"""The phone's page, BlokKey, which approval serves at `/` of the phone's host."""

from dataclasses import dataclass

from aiohttp import web

from shared.web.frame import Pages
from shared.web.headers import Csp

PAGE_CSP = Csp(trusted_types=("blok365",))  # no such policy is ever made: text never becomes markup here


@dataclass(frozen=True, slots=True)
class KeyPage:
    """What the phone's page is drawn from: the outcomes it has words for, by code."""

    outcomes: tuple[str, ...] = (
        "approved",
        "enrolled",
        "denied",
        "not_me",
        "expired",
        "over",
        "accepted",
        "wrong_code",
        "other_account",
        "other_network",
        "invitation",
        "ceremony",
        "credential",
        "too_many_devices",
        "account",
        "device_removed",
        "refused",
        "removed",
        "unknown_device",
        "unavailable",
        "other",
    )


class PageRoutes:
    """The page, which is drawn once; all it shows later comes from the API."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def routes(self) -> list[web.RouteDef]:
        """The page's one URL."""
        return [web.get("/", self.page)]

    async def page(self, request: web.Request) -> web.Response:
        """The phone's page. Changes nothing: mail scanners follow links."""
        return self._pages.render(request, "key.html", view=KeyPage(), csp=PAGE_CSP)
