"""Static files beside the application of one service, as its proxy would answer them."""

from aiohttp import web

from deploy.pages import built
from shared.web.site import static_file


def static_route() -> web.RouteDef:
    """A route for all files of the static tree."""

    async def answer(request: web.Request) -> web.Response:
        return static_file(built(), request.path)

    return web.get("/static/{path:.+}", answer)
