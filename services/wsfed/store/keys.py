"""Token-signing keys: one current for each tenant, the private half sealed under this service's key file."""

import asyncio
from collections.abc import Sequence

from services.wsfed.domain.keys import RsaSigningKey, SigningKey, create_signing_key
from shared.clock import Clock
from shared.errors import Unavailable
from shared.store.port import Database, Document, Index
from shared.store.sealing import SealingKey

YEARS = 3


class StoredSigningKeys:
    """Implements `services.wsfed.ports.SigningKeys`. Unsealed keys are held in memory."""

    def __init__(self, database: Database, sealing: SealingKey, clock: Clock) -> None:
        self._collection = database.collection(
            "signing_keys",
            indexes=[Index((("tenant", 1), ("role", 1)), unique=True, partial={"role": {"$exists": True}})],
        )
        self._sealing = sealing
        self._clock = clock
        self._held: dict[str, SigningKey] = {}

    async def current(self, tenant: str) -> SigningKey:
        held = self._held.get(tenant)
        if held is not None:
            return held
        found = await self._collection.find_one({"tenant": tenant, "role": "current"})
        if found is None:
            await self._make(tenant)
            found = await self._collection.find_one({"tenant": tenant, "role": "current"})
        if found is None:
            raise Unavailable(f"no signing key for {tenant}")
        # Unsealing parses an RSA key: several milliseconds, so not on the event loop.
        key = await asyncio.to_thread(self._unseal, found)
        self._held[tenant] = key
        return key

    async def upcoming(self, tenant: str) -> Sequence[bytes]:
        found = await self._collection.find_one({"tenant": tenant, "role": "next"})
        return () if found is None else (bytes(found["certificate"]),)

    async def _make(self, tenant: str) -> None:
        """Create a first key. Two replicas at once: the unique index keeps one, both read it."""
        created = await asyncio.to_thread(
            create_signing_key, f"Blok365 token signing {tenant}", self._clock.now(), YEARS
        )
        private = created.private_der()
        await self._collection.insert(
            {
                "_id": created.key_id,
                "tenant": tenant,
                "role": "current",
                "certificate": created.certificate,
                "sealed": self._sealing.seal(private, _place(tenant, created.key_id)),
                "created_at": self._clock.now(),
            }
        )

    def _unseal(self, found: Document) -> SigningKey:
        private = self._sealing.unseal(bytes(found["sealed"]), _place(found["tenant"], found["_id"]))
        return RsaSigningKey.from_der(private, bytes(found["certificate"]))


def _place(tenant: str, key_id: str) -> str:
    return f"signing_keys/{tenant}/{key_id}/private"
