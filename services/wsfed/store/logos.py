"""Logos of organisations as admin announces them: a projection, newest version only."""

import base64

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
        fields = {"name": received.message.name, "png": base64.b64decode(received.message.png)}
        await self.projection.keep(received.tenant, received, fields)

    async def of(self, tenant: str) -> Logo | None:
        found = await self.projection.find(tenant)
        return None if found is None or not found["name"] else Logo(found["name"], bytes(found["png"]))
