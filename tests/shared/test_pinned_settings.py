"""shared/store/pinned_settings.py"""

import pytest

from shared.clock import ManualClock
from shared.errors import Unavailable
from shared.store.memory import MemoryDatabase
from shared.store.pinned_settings import pin_rp_id, pinned_settings
from tests.world import START


async def test_another_host_is_refused_with_an_explanation() -> None:
    collection = pinned_settings(MemoryDatabase(clock=ManualClock(START)))
    await pin_rp_id(collection, "id.example")
    await pin_rp_id(collection, "id.example")
    with pytest.raises(Unavailable, match=r"was id\.example when .* is login\.example now") as refused:
        await pin_rp_id(collection, "login.example")
    assert "enrol every phone again" in refused.value.remedy
    await pin_rp_id(collection, "id.example")


async def test_the_whole_origin_that_was_kept_at_first_still_holds_its_host() -> None:
    collection = pinned_settings(MemoryDatabase(clock=ManualClock(START)))
    await collection.insert({"_id": "BLOK365_ORIGIN", "value": "http://id.localhost:8365"})
    await pin_rp_id(collection, "id.localhost")
    with pytest.raises(Unavailable, match=r"was id\.localhost when"):
        await pin_rp_id(collection, "login.localhost")


async def test_data_made_when_the_phone_had_no_host_of_its_own_is_named_with_the_way_out() -> None:
    collection = pinned_settings(MemoryDatabase(clock=ManualClock(START)))
    await pin_rp_id(collection, "localhost")
    with pytest.raises(Unavailable, match=r"was set up for localhost, .* is id\.localhost now") as refused:
        await pin_rp_id(collection, "id.localhost")
    assert "make clean" in refused.value.remedy
