"""What administrators asked of wsfed about token-signing keys: one document for each tenant."""

from collections.abc import Callable

from services.admin.domain.signing_keys import KeyRequests
from shared.contracts.envelope import MessageSigner, OutgoingMessage
from shared.store.aggregate import Aggregate, Changed
from shared.store.codec import from_document, to_document
from shared.store.port import Database, Document


class KeyRequestRepository:
    """Implements `ports.KeyRequestStore`. `_id` is the tenant."""

    def __init__(self, database: Database, signer: MessageSigner) -> None:
        collection = database.collection("key_requests", outbox=True)
        self._requests = Aggregate(collection, _document, _requests, signer=signer, revision="revision")

    async def get(self, tenant: str) -> KeyRequests:
        found = await self._requests.load(tenant)
        return KeyRequests(tenant) if found is None else found.value

    async def change(
        self, tenant: str, step: Callable[[KeyRequests], KeyRequests | None], command: OutgoingMessage
    ) -> bool:
        def take(before: KeyRequests) -> Changed[KeyRequests] | None:
            after = step(before)
            return None if after is None else Changed(after, [command])

        return await self._requests.change(tenant, take, empty=KeyRequests(tenant)) is not None


def _document(requests: KeyRequests) -> Document:
    return to_document(requests, key="tenant")


def _requests(document: Document) -> KeyRequests:
    return from_document(KeyRequests, document, key="tenant")
