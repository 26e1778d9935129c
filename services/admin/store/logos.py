"""Logos of organisations: one document for each tenant that ever had one."""

from collections.abc import Callable

from services.admin.domain.logos import Logo
from shared.contracts.admin import LogoChanged
from shared.contracts.envelope import MessageSigner
from shared.replication import Row, Source
from shared.store.aggregate import Aggregate
from shared.store.codec import from_document, to_document
from shared.store.port import Database, Document


class LogoRepository:
    """Implements `ports.Logos`. `_id` is the tenant."""

    def __init__(self, database: Database, signer: MessageSigner) -> None:
        collection = database.collection("logos", outbox=True, state=True)
        self._logos = Aggregate(collection, _document, _logo, signer=signer, revision="version")
        self.source = Source(collection, [LogoChanged], _row)
        """All logos, for the services whose pages show them."""

    async def get(self, tenant: str) -> Logo | None:
        found = await self._logos.load(tenant)
        return None if found is None else found.value

    async def change(self, tenant: str, step: Callable[[Logo], Logo]) -> Logo:
        first = step(Logo(tenant))
        if await self._logos.insert(first, [first.announced()]):
            return first
        changed = await self._logos.change_value(tenant, step, lambda after, _: [after.announced()])
        assert changed is not None, "it is never removed"
        return changed


def _document(logo: Logo) -> Document:
    return to_document(logo, key="tenant")


def _logo(document: Document) -> Logo:
    return from_document(Logo, document, key="tenant")


def _row(document: Document) -> Row:
    logo = _logo(document)
    return Row(logo.tenant, [logo.event()])
