"""A taken-over owner, and what an honest one in its place can still do (docs/flows/replication.md).

Each test first lets approval be the attacker, who answers wsfed's questions with signed pages of his own, and then the
honest approval again, on its own database.
"""

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from shared.contracts.envelope import FUTURE_TOLERANCE, Refused, SignedMessage, verify_message
from shared.contracts.state import PullState, StateItem, pull_of, pulled_of
from tests.shared.replication_support import TRUSTED, Stage, device, page_of, tenant
from tests.shared.replication_support import account as account_event

pytestmark = pytest.mark.long

PULL = pull_of("approval").TYPE
TOO_HIGH = 2**32 - 1
LONGEST_RETURN = 600
"""Seconds until an honest owner counts again, whatever was said in its name before."""


@pytest.fixture
async def stage() -> Stage:
    made = Stage()
    await made.admin.say("contoso", tenant())
    await made.admin.say("ada", account_event("ada"), source=1)
    await made.approval.say("phone", device("phone"))
    await made.first()
    return made


async def asked(stage: Stage) -> PullState:
    """The question that wsfed asks approval next; approval does not hear it. admin is answered as ever."""
    for _ in range(400):
        stage.clock.advance(2)
        await stage.look()
        found: PullState | None = None
        for question in await stage.questions():
            if question.type == PULL:
                message = verify_message(question, trusted=TRUSTED, now=stage.clock.now()).message
                assert isinstance(message, PullState)
                found = message
            else:
                await stage.take(await stage.answer(question))
        if found is not None:
            assert isinstance(found, PullState)
            return found
    raise AssertionError("wsfed asks nothing")


async def answered(stage: Stage, question: PullState, **fields: object) -> SignedMessage:
    """The attacker's answer, delivered twice."""
    fields = {"until": question.until or "4000000000.0000000001", **fields}
    page = stage.sign(
        "approval", page_of("approval", request=question.request, after=question.after, **fields)
    )
    await stage.take(page)
    await stage.take(page)
    return page


async def honest_again(stage: Stage) -> None:
    """What he did is over: approval answers every question itself."""
    await stage.approval.say("later", device("later"))
    await stage.live(LONGEST_RETURN)
    assert stage.follower.fresh("approval")
    assert set(stage.rows("devices")) == {"phone", "later"}


# --- pulls that the honest owner cannot go on with ---------------------------------------------------------------


@pytest.mark.parametrize("cursor", ["nonsense", "9//x", "0/0000000001.0000000001/x", "0//", "x" * 512])
async def test_a_cursor_that_no_honest_owner_knows_keeps_nobody_stale_for_ever(
    stage: Stage, cursor: str
) -> None:
    page = await answered(stage, await asked(stage), next=cursor)
    await honest_again(stage)
    await stage.take(page)
    assert stage.follower.fresh("approval")


async def test_a_cursor_in_a_full_pull_that_no_honest_owner_knows_ends_too(stage: Stage) -> None:
    await stage.follower.want_all(["approval"])
    while (question := await asked(stage)).since:
        pass
    await answered(stage, question, next="nonsense")
    await stage.live(LONGEST_RETURN)
    assert (await stage.record("approval")).full is None
    await honest_again(stage)


async def test_a_position_that_no_database_can_have_is_refused(stage: Stage) -> None:
    with pytest.raises(ValidationError):
        page_of("approval", until="9999999999.9999999999")
    question = await asked(stage)
    body = page_of("approval", request=question.request, until="4000000000.0000000001").model_dump()
    unchecked = pulled_of("approval").model_construct(**{**body, "until": "9999999999.9999999999"})
    with pytest.raises(Refused):
        await stage.take(stage.sign("approval", unchecked))
    await honest_again(stage)


async def test_changes_behind_a_position_in_the_future_are_here_without_waiting_for_the_daily_pull(
    stage: Stage,
) -> None:
    """He says that everything until the year 2096 is here. What the owner wrote meanwhile must come all the same."""
    for _ in range(3):
        await stage.approval.say("hidden", device("hidden"))
        await answered(stage, await asked(stage), until="4000000000.0000000001")
    await stage.live(90)
    assert set(stage.rows("devices")) == {"phone", "hidden"}
    assert stage.follower.fresh("approval")


async def test_two_cursors_that_lead_to_each_other_alarm(stage: Stage) -> None:
    for turn in range(400):
        await answered(
            stage, await asked(stage), next=("0//a", "0//b")[turn % 2], until="1000000000.0000000001"
        )
    assert not stage.follower.fresh("approval")
    assert stage.follower.fresh("admin")
    assert "approval" in stage.follower.alarms()
    await honest_again(stage)


# --- generations -------------------------------------------------------------------------------------------------


async def test_no_page_raises_the_generation_beyond_what_a_restore_can_reach(stage: Stage) -> None:
    question = await asked(stage)
    page = stage.sign("approval", page_of("approval", request=question.request, generation=TOO_HIGH))
    with pytest.raises(Refused, match="generation"):
        await stage.take(page)
    assert (await stage.record("approval")).generation == 0
    await honest_again(stage)


async def test_no_event_has_a_generation_beyond_what_a_restore_can_reach(stage: Stage) -> None:
    event = device("phone").model_copy(update={"generation": TOO_HIGH})
    stage.approval.signer.generation = TOO_HIGH
    signed = stage.approval.signer.sign(event, tenant="contoso")
    stage.approval.signer.generation = 0
    with pytest.raises(Refused, match="generation"):
        await stage.take(signed)


async def test_no_item_has_a_higher_generation_than_its_page(stage: Stage) -> None:
    body = device("phone").model_copy(update={"generation": TOO_HIGH}).model_dump(mode="json")
    item = StateItem(type=device("phone").TYPE, tenant="contoso", body=body)
    await answered(stage, await asked(stage), items=(item,))
    assert stage.rows("devices")["phone"]["version"] == 1
    await honest_again(stage)


async def test_a_restore_wins_over_the_highest_generation_that_a_taken_over_owner_could_say(
    stage: Stage,
) -> None:
    highest = int((stage.clock.now() + FUTURE_TOLERANCE).timestamp()) - 10
    await stage.follower.want_all(["approval"])
    while (question := await asked(stage)).since:
        pass
    await answered(stage, question, generation=highest)  # and nothing in it: every device lapses
    assert (await stage.record("approval")).generation == highest
    assert stage.rows("devices") == {}
    stage.clock.advance(FUTURE_TOLERANCE.total_seconds())
    await stage.approval.database.raise_generation(int(stage.clock.now().timestamp()))  # blok365 restore
    await honest_again(stage)


async def test_an_event_of_the_generation_before_brings_nothing_back(stage: Stage) -> None:
    """Kept back on the bus, or in a dead letter, until after the restore: the owner no longer has it."""
    early, never = (
        await stage.approval.say("gone", device("gone")),
        await stage.approval.say("x", device("x")),
    )
    late = await stage.approval.say("gone", device("gone", 2))
    await stage.take(early[0])
    for document_id in ("gone", "x"):
        del stage.approval.data["things0"][document_id]
    await stage.approval.database.raise_generation(0)
    await stage.live(60)
    assert set(stage.rows("devices")) == {"phone"}
    with capture_logs() as logs:
        for signed in (*early, *late, *late, *never):
            await stage.take(signed)
    assert set(stage.rows("devices")) == {"phone"}
    assert [log["event"] for log in logs].count("state.older_event") == 4


# --- what grows --------------------------------------------------------------------------------------------------


async def test_refused_items_with_huge_names_leave_a_small_record(stage: Stage) -> None:
    for _ in range(3):
        items = [
            StateItem(type=device("a").TYPE, tenant=f"{n}" * 10_000, body={"no": "device"}) for n in range(10)
        ]
        await answered(stage, await asked(stage), items=tuple(items))
    record = await stage.record("approval")
    assert record.refused_count == 30
    assert len(str(record)) < 20_000
