"""Issuance records: what was issued, to whom, why; durable before the token is signed."""

import json
from collections.abc import Sequence

from services.wsfed.domain.authentication import Method
from services.wsfed.domain.own_page import OwnSignIn
from services.wsfed.ports import Issuance
from shared.store.codec import to_document
from shared.store.port import Database, Document, Index
from shared.store.sequencer import Sequencer


class IssuanceRepository:
    """Implements `services.wsfed.ports.IssuanceLog`."""

    def __init__(self, database: Database, stream: str) -> None:
        collection = database.collection(
            "issuances", indexes=[Index((("tenant", 1), ("account", 1), ("issued_at", -1)))]
        )
        self._sequencer = Sequencer(collection, stream)
        self._collection = collection

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
                **({"trial": True} if issuance.trial else {}),
            }
        )

    async def proved(self, tenant: str, account: str, among: int) -> Sequence[OwnSignIn]:
        where = {"tenant": tenant, "account": account}
        found = await self._collection.find(where, sort=[("issued_at", -1)], limit=among)
        return [_sign_in(each) for each in found if each["proof"] is not None]

    async def flush(self) -> None:
        """Wait until every record that was begun is written. Called at shutdown."""
        await self._sequencer.flush()


def _sign_in(record: Document) -> OwnSignIn:
    # Our own text: `SignInContext`, as it was in the release that wrote the record.
    seen = json.loads(record["proof"]["context"])
    return OwnSignIn(
        at=record["issued_at"],
        method=Method(record["method"]),
        device=record["proof"]["device"],
        trial=record.get("trial", False),
        **{name: str(seen.get(name, "")) for name in ("agent", "address", "place")},
    )
