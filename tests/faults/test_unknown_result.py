"""Fault: the connection to mongod is lost after the write, before its answer: nobody knows whether it was done.

Once, the driver asks again under the same transaction number and mongod says what it had done. Twice, our own step
ends in "try again" without knowing; the next conditional update finds out.
"""

import pytest

from tests.faults.breakable import ACCEPTED, ISSUED, OPEN, PROVED, RECORD, WAITING, Breakable, Write
from tests.faults.proxy import Moment

pytestmark = [
    pytest.mark.integration,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("faults"),
]
STEPS = [WAITING, OPEN, ACCEPTED, PROVED, ISSUED, RECORD]


@pytest.mark.parametrize("write", STEPS, ids=str)
async def test_lost_answer_is_asked_for_again_by_the_driver(whole: Breakable, write: Write) -> None:
    person = await whole.fault_system.person()
    sign_in = await whole.fault_system.begin(person)
    trap = whole.arm(write, Moment.AFTER)
    await sign_in.finish()
    assert trap.sprung == 1
    assert sign_in.troubles == 0  # nobody noticed
    await sign_in.assert_signed_once()


@pytest.mark.parametrize("write", STEPS, ids=str)
async def test_result_that_stays_unknown_is_not_taken_twice(whole: Breakable, write: Write) -> None:
    person = await whole.fault_system.person()
    sign_in = await whole.fault_system.begin(person)
    trap = whole.arm(write, Moment.AFTER, times=2)
    end = await sign_in.finish()
    await trap.spent()  # the page may see the write and go on before the driver has tried again
    stored = await sign_in.stored()
    assert stored["challenges"] <= 2
    await sign_in.assert_goes_on_or_offers_retry(end)
    taken = [c for c in await whole.fault_system.challenges(person) if c["state"] == "accepted"]
    assert len(taken) <= 1 + (not sign_in.tokens)  # a retry from the start has one of its own
