"""aiohttp to handlers and back."""

from aiohttp import web

from shared.web.frame import Pages
from tests.house.toy.ports import Dependencies


class ToyRoutes:
    """The toy's one page."""

    def __init__(self, toy: Dependencies, pages: Pages) -> None:
        self._toy = toy
        self._pages = pages

    def routes(self) -> list[web.RouteDef]:
        """URL to handler."""
        return [web.get("/", self.page)]

    async def page(self, request: web.Request) -> web.Response:
        """The coins that were tossed."""
        return self._pages.render(request, "coins.html", view=await self._toy.coins.all())
