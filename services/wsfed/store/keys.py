"""Token-signing keys: one document for each tenant, so that each step of a roll-over is one conditional update.

Private halves are sealed under this service's key file. The key that signs is held unsealed in memory, for
`MAX_HELD` tenants. Which one signs is read again every `FRESH_FOR` seconds, so a switch reaches every replica within
that time.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from services.wsfed.domain.keys import RsaSigningKey, SigningKey, certificate_base64, create_signing_key
from services.wsfed.ports import KeyRing
from shared.clock import Clock
from shared.contracts.envelope import MessageSigner
from shared.contracts.wsfed import KeysChanged
from shared.errors import Unavailable
from shared.replication import Row, Source
from shared.store.port import Database, Document
from shared.store.sealing import SealingKey

log = structlog.get_logger(__name__)

YEARS = 3
FRESH_FOR = 10.0
MAX_ATTEMPTS = 5
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
    """Implements `services.wsfed.ports.SigningKeys`. Each write says what the certificates are now, in its outbox."""

    def __init__(self, database: Database, sealing: SealingKey, clock: Clock, signer: MessageSigner) -> None:
        self._collection = database.collection("signing_keys", outbox=True, state=True)
        self._sealing = sealing
        self._clock = clock
        self._signer = signer
        self._held: OrderedDict[str, _Held] = OrderedDict()
        """The tenant that was used last is the last one."""
        self.source = Source(self._collection, [KeysChanged], _row)
        """The certificates of all tenants, for admin."""

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
        return _ring((await self._read(tenant)).document)

    async def add_next(self, tenant: str, version: int) -> bool:
        before = (await self._read(tenant)).document
        if before["next"] is not None or _version(before) != version:
            return False
        key_id, stored = await self._create(tenant)
        keys = {**before["keys"], key_id: stored}
        return await self._write(before, {"next": key_id, "next_since": self._clock.now(), "keys": keys})

    async def switch(self, tenant: str, version: int) -> bool:
        before = (await self._read(tenant)).document
        if before["next"] is None or _version(before) != version:
            return False
        after = {
            "current": before["next"],
            "previous": before["current"],
            "next": None,
            "next_since": None,
        }
        return await self._write(before, after)

    async def drop_previous(self, tenant: str, version: int) -> bool:
        before = (await self._read(tenant)).document
        previous = before["previous"]
        if previous is None or _version(before) != version:
            return False
        keys = {key_id: stored for key_id, stored in before["keys"].items() if key_id != previous}
        return await self._write(before, {"previous": None, "keys": keys})

    async def replace_all(self, tenant: str) -> None:
        (first, stored_first), (second, stored_second) = (
            await self._create(tenant),
            await self._create(tenant),
        )
        after = {
            "current": first,
            "next": second,
            "next_since": self._clock.now(),
            "previous": None,
            "keys": {first: stored_first, second: stored_second},
        }
        for _ in range(
            MAX_ATTEMPTS
        ):  # somebody else may roll over meanwhile; the stolen key has to go all the same
            if await self._write((await self._read(tenant)).document, after):
                return
        raise Unavailable("wsfed.key.being_changed", tenant=tenant)

    async def _write(self, before: Document, fields: Mapping[str, Any]) -> bool:
        """Change the document as it was read, if nobody has changed it since."""
        tenant: str = before["_id"]
        self._held.pop(tenant, None)
        version = {"version": _version(before) + 1}
        event = self._signer.sign(_event({**before, **fields, **version}), tenant=tenant)
        where = {"_id": tenant, "version": before.get("version")}
        return (
            await self._collection.update(where, {"$set": {**fields, **version}}, outbox=[event]) is not None
        )

    async def _read(self, tenant: str) -> _Held:
        found = await self._collection.find_one({"_id": tenant})
        if found is None:
            key_id, stored = await self._create(tenant)
            made = {
                "_id": tenant,
                "version": 1,
                "current": key_id,
                "next": None,
                "next_since": None,
                "previous": None,
                "keys": {key_id: stored},
            }
            # Two replicas at once: one insert wins, both then read the same.
            await self._collection.insert(made, outbox=[self._signer.sign(_event(made), tenant=tenant)])
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


def _ring(document: Document) -> KeyRing:
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
        version=_version(document),
    )


def _version(document: Document) -> int:
    """A document from before the certificates were announced has none, and what it says is the first version."""
    version: int = document.get("version", 1)
    return version


def _event(document: Document) -> KeysChanged:
    ring = _ring(document)
    return KeysChanged(
        version=_version(document),
        current=certificate_base64(ring.current),
        next=None if ring.next is None else certificate_base64(ring.next),
        next_since=ring.next_since,
        previous=None if ring.previous is None else certificate_base64(ring.previous),
    )


def _row(document: Document) -> Row:
    return Row(document["_id"], [_event(document)])


def _associated_data(tenant: str, key_id: str) -> str:
    return f"signing_keys/{tenant}/{key_id}/private"
