"""Coins in MongoDB: one document each."""

from collections.abc import Sequence

from shared.contracts.envelope import SignedMessage
from shared.store.port import Database


class StoredCoins:
    """Implements `ports.Coins`."""

    def __init__(self, database: Database) -> None:
        self._coins = database.collection("coins", outbox=True)

    async def add(self, tenant: str, coin: str, side: str, signed: SignedMessage) -> bool:
        return await self._coins.insert({"_id": f"{tenant}/{coin}", "side": side}, outbox=[signed])

    async def all(self) -> Sequence[str]:
        found = await self._coins.find({}, sort=[("_id", 1)])
        return [f"{coin['_id']}: {coin['side']}" for coin in found]
