"""What the toy reacts to."""

from functools import partial

from shared.bus.port import Handlers
from tests.house.toy import handlers
from tests.house.toy.messages import TossCoin
from tests.house.toy.ports import Dependencies


def consumers(toy: Dependencies) -> Handlers:
    """Message to handler."""
    return {TossCoin: partial(handlers.toss, toy)}
