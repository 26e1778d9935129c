"""Logos of organisations as admin announces them: a projection, newest version only."""

import base64
from collections.abc import Sequence

from services.wsfed.ports import Logo
from shared.contracts.admin import LogoChanged
from shared.contracts.envelope import VerifiedMessage
from shared.replication import Projection
from shared.store.port import Database


class LogoRepository:
    """Implements `services.wsfed.ports.Logos`. `_id` is the tenant's slug."""

    def __init__(self, database: Database) -> None:
        self.projection = Projection(database.collection("logos"))

    async def keep(self, received: VerifiedMessage[LogoChanged]) -> None:
        said = received.message
        fields = {
            "name": said.name,
            "png": base64.b64decode(said.png),
            "previous_name": said.previous_name,
            "previous_png": base64.b64decode(said.previous_png),
        }
        await self.projection.keep(received.tenant, received, fields)

    async def of(self, tenant: str) -> Sequence[Logo]:
        found = await self.projection.find(tenant) or {}
        kept = (("name", "png"), ("previous_name", "previous_png"))
        return [Logo(found[name], bytes(found[png])) for name, png in kept if found.get(name)]
