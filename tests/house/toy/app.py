"""The only wiring of the toy."""

from pathlib import Path

from shared.assembly import Platform, Wired
from shared.web.frame import Pages
from tests.house.toy.config import ToySettings
from tests.house.toy.consumers import consumers
from tests.house.toy.ports import Dependencies
from tests.house.toy.routes import ToyRoutes
from tests.house.toy.store import StoredCoins


def build(platform: Platform, settings: ToySettings | None = None) -> Wired[Dependencies]:
    """The service, not yet running, with what its handlers work with."""
    assembly = platform.assemble("toy")
    toy = Dependencies(
        coins=StoredCoins(assembly.database),
        signer=assembly.signer,
        ids=platform.ids,
        settings=settings or ToySettings(),
    )
    pages = Pages("toy", Path(__file__).parent)
    web = assembly.web(pages, ToyRoutes(toy, pages).routes())
    return Wired(assembly.service(consumers(toy), web=web), toy)
