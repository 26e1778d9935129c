"""Settings that must not change once data stands on them."""

from shared.errors import Unavailable
from shared.store.port import Collection, Database


def fixed_settings(database: Database) -> Collection:
    """The collection that remembers them. Call it while wiring, so that `migrate` knows of it."""
    return database.collection("fixed")


async def hold_fixed(collection: Collection, name: str, value: str) -> None:
    """Remember `value` at the first start; refuse to start with another one later. Raises Unavailable."""
    if await collection.insert({"_id": name, "value": value}):
        return
    found = await collection.find_one({"_id": name})
    if found is not None and found["value"] != value:
        raise Unavailable(
            "shared.store.fixed_setting", name=name, first=found["value"], now=value, code="fixed_setting"
        )
