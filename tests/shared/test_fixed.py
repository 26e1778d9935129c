"""shared/store/fixed.py"""

import pytest

from shared.clock import ManualClock
from shared.errors import Unavailable
from shared.store.fixed import fixed_settings, hold_fixed
from shared.store.memory import MemoryDatabase
from tests.world import START


async def test_another_origin_is_refused_with_an_explanation() -> None:
    collection = fixed_settings(MemoryDatabase(clock=ManualClock(START)))
    await hold_fixed(collection, "BLOK365_ORIGIN", "https://id.example")
    await hold_fixed(collection, "BLOK365_ORIGIN", "https://id.example")
    with pytest.raises(Unavailable, match=r"was https://id\.example when") as refused:
        await hold_fixed(collection, "BLOK365_ORIGIN", "https://login.example")
    assert "enrol every phone again" in refused.value.remedy
    await hold_fixed(collection, "BLOK365_ORIGIN", "https://id.example")
