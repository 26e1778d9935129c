"""Token-signing keys: one document for each tenant, so that each step of a roll-over is one conditional update.

Private halves are sealed under this service's key file. Unsealed keys are held in memory; which of them signs is
read again every `FRESH_FOR` seconds, so a switch reaches every replica within that time.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.wsfed.domain.keys import RsaSigningKey, SigningKey, create_signing_key
from services.wsfed.ports import KeyRing
from shared.clock import Clock
from shared.errors import Unavailable
from shared.store.port import Database, Document
from shared.store.sealing import SealingKey

YEARS = 3
FRESH_FOR = 10.0


@dataclass(frozen=True, slots=True)
class _Seen:
    document: Document
    at: float


class SigningKeyRepository:
    """Implements `services.wsfed.ports.SigningKeys`."""

    def __init__(self, database: Database, sealing: SealingKey, clock: Clock) -> None:
        self._collection = database.collection("signing_keys")
        self._sealing = sealing
        self._clock = clock
        self._seen: dict[str, _Seen] = {}
        self._unsealed: dict[str, SigningKey] = {}

    async def current(self, tenant: str) -> SigningKey:
        seen = self._seen.get(tenant)
        if seen is None or self._clock.monotonic() - seen.at > FRESH_FOR:
            seen = await self._read(tenant)
        key_id = seen.document["current"]
        held = self._unsealed.get(key_id)
        if held is None:
            # Parsing an RSA key takes milliseconds: not on the event loop.
            held = await asyncio.to_thread(self._unseal, tenant, seen.document, key_id)
            self._unsealed[key_id] = held
        return held

    async def upcoming(self, tenant: str) -> Sequence[bytes]:
        ring = await self.ring(tenant)
        return () if ring.next is None else (ring.next,)

    async def ring(self, tenant: str) -> KeyRing:
        document = (await self._read(tenant)).document

        def certificate(role: str) -> bytes | None:
            key_id = document[role]
            return None if key_id is None else bytes(document["keys"][key_id]["certificate"])

        current = certificate("current")
        assert current is not None
        return KeyRing(
            current=current,
            next=certificate("next"),
            previous=certificate("previous"),
            next_since=document["next_since"],
        )

    async def add_next(self, tenant: str) -> bool:
        key_id, stored = await self._create(tenant)
        after = await self._collection.update(
            {"_id": tenant, "next": None},
            {"$set": {"next": key_id, "next_since": self._clock.now(), f"keys.{key_id}": stored}},
        )
        return self._changed(tenant, after)

    async def switch(self, tenant: str) -> bool:
        before = (await self._read(tenant)).document
        after = await self._collection.update(
            {"_id": tenant, "current": before["current"], "next": {"$in": [before["next"]], "$ne": None}},
            {
                "$set": {
                    "current": before["next"],
                    "previous": before["current"],
                    "next": None,
                    "next_since": None,
                }
            },
        )
        return self._changed(tenant, after)

    async def drop_previous(self, tenant: str) -> bool:
        before = (await self._read(tenant)).document
        previous = before["previous"]
        if previous is None:
            return False
        after = await self._collection.update(
            {"_id": tenant, "previous": previous},
            {"$set": {"previous": None}, "$unset": {f"keys.{previous}": ""}},
        )
        return self._changed(tenant, after)

    async def replace_all(self, tenant: str) -> None:
        (first, stored_first), (second, stored_second) = (
            await self._create(tenant),
            await self._create(tenant),
        )
        after = await self._collection.update(
            {"_id": tenant},
            {
                "$set": {
                    "current": first,
                    "next": second,
                    "next_since": self._clock.now(),
                    "previous": None,
                    "keys": {first: stored_first, second: stored_second},
                }
            },
        )
        self._changed(tenant, after)

    def _changed(self, tenant: str, after: Document | None) -> bool:
        self._seen.pop(tenant, None)
        return after is not None

    async def _read(self, tenant: str) -> _Seen:
        found = await self._collection.find_one({"_id": tenant})
        if found is None:
            key_id, stored = await self._create(tenant)
            # Two replicas at once: one insert wins, both then read the same.
            await self._collection.insert(
                {
                    "_id": tenant,
                    "current": key_id,
                    "next": None,
                    "next_since": None,
                    "previous": None,
                    "keys": {key_id: stored},
                }
            )
            found = await self._collection.find_one({"_id": tenant})
        if found is None:
            raise Unavailable("wsfed.key.missing", tenant=tenant)
        seen = _Seen(found, self._clock.monotonic())
        self._seen[tenant] = seen
        return seen

    async def _create(self, tenant: str) -> tuple[str, dict[str, Any]]:
        now = self._clock.now()
        created = await asyncio.to_thread(create_signing_key, f"Blok365 {tenant}", now, YEARS)
        sealed = self._sealing.seal(created.private_der(), _associated_data(tenant, created.key_id))
        return created.key_id, {"certificate": created.certificate, "sealed": sealed, "created_at": now}

    def _unseal(self, tenant: str, document: Document, key_id: str) -> SigningKey:
        stored = document["keys"][key_id]
        private = self._sealing.unseal(bytes(stored["sealed"]), _associated_data(tenant, key_id))
        return RsaSigningKey.from_der(private, bytes(stored["certificate"]), authentic=True)


def _associated_data(tenant: str, key_id: str) -> str:
    return f"signing_keys/{tenant}/{key_id}/private"
