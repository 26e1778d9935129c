"""Token-signing keys: one document for each tenant, so that each step of a roll-over is one conditional update.

Private halves are sealed under this service's key file. The key that signs is held unsealed in memory, for
`MAX_HELD` tenants. Which one signs is read again every `FRESH_FOR` seconds, so a switch reaches every replica within
that time.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from services.wsfed.domain.keys import RsaSigningKey, SigningKey, create_signing_key
from services.wsfed.ports import KeyRing
from shared.clock import Clock
from shared.errors import Unavailable
from shared.store.port import Database, Document
from shared.store.sealing import SealingKey

log = structlog.get_logger(__name__)

YEARS = 3
FRESH_FOR = 10.0
MAX_HELD = 1000
"""Tenants whose key is held unsealed; the one that was used longest ago goes first, and is unsealed again if needed."""


@dataclass(slots=True)
class _Held:
    """What this process holds in memory of one tenant's keys."""

    document: Document
    at: float
    unsealed: tuple[str, SigningKey] | None = None
    """The parsed key that signs, and its id."""


class SigningKeyRepository:
    """Implements `services.wsfed.ports.SigningKeys`."""

    def __init__(self, database: Database, sealing: SealingKey, clock: Clock) -> None:
        self._collection = database.collection("signing_keys")
        self._sealing = sealing
        self._clock = clock
        self._held: OrderedDict[str, _Held] = OrderedDict()
        """The tenant that was used last is the last one."""

    async def current(self, tenant: str) -> SigningKey:
        held = self._held.get(tenant)
        if held is None or self._clock.monotonic() - held.at > FRESH_FOR:
            held = await self._read(tenant)
        else:
            self._held.move_to_end(tenant)
        key_id: str = held.document["current"]
        if held.unsealed is None or held.unsealed[0] != key_id:
            # Parsing an RSA key takes milliseconds: not on the event loop.
            held.unsealed = key_id, await asyncio.to_thread(self._unseal, tenant, held.document, key_id)
        return held.unsealed[1]

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
        self._held.pop(tenant, None)
        return after is not None

    async def _read(self, tenant: str) -> _Held:
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
        return self._hold(tenant, _Held(found, self._clock.monotonic()))

    def _hold(self, tenant: str, held: _Held) -> _Held:
        if (before := self._held.get(tenant)) is not None:
            held.unsealed = before.unsealed
        self._held[tenant] = held
        self._held.move_to_end(tenant)
        if len(self._held) > MAX_HELD:
            gone, _ = self._held.popitem(last=False)
            log.warning("keys.let_go", tenant=gone, held=MAX_HELD)
        return held

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
