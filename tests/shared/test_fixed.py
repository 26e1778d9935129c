"""shared/store/fixed.py"""

import pytest

from shared.clock import ManualClock
from shared.errors import Unavailable
from shared.store.fixed import fixed_settings, hold_rp_id
from shared.store.memory import MemoryDatabase
from tests.world import START


async def test_another_host_is_refused_with_an_explanation() -> None:
    collection = fixed_settings(MemoryDatabase(clock=ManualClock(START)))
    await hold_rp_id(collection, "id.example")
    await hold_rp_id(collection, "id.example")
    with pytest.raises(Unavailable, match=r"was id\.example when .* is login\.example now") as refused:
        await hold_rp_id(collection, "login.example")
    assert "enrol every phone again" in refused.value.remedy
    await hold_rp_id(collection, "id.example")


async def test_the_whole_origin_that_was_kept_at_first_still_holds_its_host() -> None:
    collection = fixed_settings(MemoryDatabase(clock=ManualClock(START)))
    await collection.insert({"_id": "BLOK365_ORIGIN", "value": "http://localhost:8365"})
    await hold_rp_id(collection, "localhost")
    with pytest.raises(Unavailable, match="was localhost when"):
        await hold_rp_id(collection, "id.localhost")
