"""One async function per use case."""

from typing import Literal

from shared.contracts.envelope import VerifiedMessage
from tests.house.toy.messages import CoinTossed, TossCoin
from tests.house.toy.ports import Dependencies


async def toss(toy: Dependencies, received: VerifiedMessage[TossCoin]) -> None:
    """`toy.coin.toss.v1`: let it fall, keep it, tell."""
    heads = toy.settings.always_heads or toy.ids.random_bytes(1)[0] % 2 == 0
    side: Literal["heads", "tails"] = "heads" if heads else "tails"
    coin = received.message.coin
    event = CoinTossed(coin=coin, side=side)
    signed = toy.signer.sign(event, tenant=received.tenant, cause=received.envelope)
    await toy.coins.add(received.tenant, coin, side, signed)
