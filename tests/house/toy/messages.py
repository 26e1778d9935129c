"""What would be shared/contracts/toy.py: the messages that the toy owns."""

from typing import ClassVar, Literal

from shared.contracts import Command, Event
from shared.services import Services
from tests.house.toy.row import WITH_TOY


class TossCoin(Command):
    """admin wants a coin tossed. Sent again, the coin stays as it fell."""

    TABLE: ClassVar[Services] = WITH_TOY
    TYPE: ClassVar[str] = "toy.coin.toss.v1"
    SENDERS: ClassVar[frozenset[str]] = frozenset({"admin"})
    coin: str


class CoinTossed(Event):
    """How a coin fell."""

    TABLE: ClassVar[Services] = WITH_TOY
    TYPE: ClassVar[str] = "toy.coin.tossed.v1"
    READERS: ClassVar[frozenset[str]] = frozenset({"wsfed"})
    coin: str
    side: Literal["heads", "tails"]
