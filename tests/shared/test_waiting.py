"""shared.testing.eventually."""

import pytest

from shared.testing.waiting import eventually


@pytest.mark.parametrize("not_yet", [None, False])
async def test_gives_the_first_answer_that_is_one(not_yet: None) -> None:
    answers = iter([not_yet, not_yet, 0])

    async def attempt() -> int | None:
        return next(answers)

    assert await eventually(attempt, "an answer", every=0) == 0


async def test_says_what_did_not_happen() -> None:
    async def attempt() -> None:
        return None

    with pytest.raises(TimeoutError, match="did not happen within 0 s: rain"):
        await eventually(attempt, "rain", within=0.01, every=0)
