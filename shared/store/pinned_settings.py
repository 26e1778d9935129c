"""Settings that must not change once data stands on them."""

from urllib.parse import urlsplit

from shared.errors import Unavailable
from shared.store.port import Collection, Database

_ORIGIN = "BLOK365_ORIGIN"


def pinned_settings(database: Database) -> Collection:
    """The collection that remembers them. Call it while wiring, so that `migrate` knows of it."""
    return database.collection("fixed")


async def pin_rp_id(collection: Collection, rp_id: str) -> None:
    """Remember the host of BLOK365_ORIGIN at the first start, and refuse to start with another one later.

    Browsers bind every key to the host as the WebAuthn RP ID; scheme and port are no part of it and may change
    (Web Authentication Level 3, section 5.1.2). Data made for `localhost`, when the phone had no host of its own,
    cannot be taken along. Raises Unavailable.
    """
    if await collection.insert({"_id": _ORIGIN, "value": rp_id}):
        return
    found = await collection.find_one({"_id": _ORIGIN})
    if found is None:
        return
    held = urlsplit(found["value"]).hostname or found["value"]  # at first the whole origin was kept
    if held != rp_id and "." not in held:
        raise Unavailable("shared.store.host_without_phone", first=held, now=rp_id, code="fixed_setting")
    if held != rp_id:
        raise Unavailable("shared.store.fixed_host", first=held, now=rp_id, code="fixed_setting")
