"""Issuance records: what was issued, to whom, why; durable before the token is signed."""

from services.wsfed.ports import Issuance
from shared.store.codec import to_document
from shared.store.port import Database, Index
from shared.store.sequencer import Sequencer


class IssuanceRepository:
    """Implements `services.wsfed.ports.IssuanceLog`."""

    def __init__(self, database: Database, stream: str) -> None:
        collection = database.collection(
            "issuances", indexes=[Index((("tenant", 1), ("account", 1), ("issued_at", -1)))]
        )
        self._sequencer = Sequencer(collection, stream)

    async def append(self, issuance: Issuance) -> None:
        account, authentication = issuance.account, issuance.authentication
        await self._sequencer.append(
            {
                "tenant": account.tenant,
                "account": account.id,
                "upn": account.upn,
                "immutable_id": account.immutable_id,
                "transaction": issuance.transaction,
                "proved_by": issuance.proved_by,
                "session": issuance.session,
                "client_request_id": issuance.client_request_id,
                "assertion_id": issuance.assertion_id,
                "issuer": issuance.issuer,
                "key_id": issuance.key_id,
                "issued_at": issuance.issued_at,
                "method": authentication.method.value,
                "user_verified": authentication.user_verified,
                "authenticated_at": authentication.authenticated_at,
                "proof": None if issuance.proof is None else to_document(issuance.proof),
            }
        )

    async def flush(self) -> None:
        """Wait until every record that was begun is written. Called at shutdown."""
        await self._sequencer.flush()
