"""What the toy's handlers need."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.contracts.envelope import MessageSigner, SignedMessage
from shared.ids import Ids
from tests.house.toy.config import ToySettings


class Coins(Protocol):
    """Coins that were tossed."""

    async def add(self, tenant: str, coin: str, side: str, signed: SignedMessage) -> bool:
        """Keep it and send the message, in one write. False when it was tossed before."""
        ...

    async def all(self) -> Sequence[str]:
        """Each as `coin: side`."""
        ...


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What every handler works with."""

    coins: Coins
    signer: MessageSigner
    ids: Ids
    settings: ToySettings
