"""What a follower makes of silence, lateness and crashes of its owner."""

import pytest

from tests.shared.follower_support import Stage


async def test_silence_alarms_at_30_seconds_and_counts_as_old_after_300(stage: Stage) -> None:
    process = stage.process()
    await process.beat()
    await stage.live(29)
    assert stage.follower().alarms() == {}
    await stage.live(1)
    assert "silent" in stage.follower().alarms()["admin"]
    await stage.live(270)
    assert stage.follower().fresh("admin")
    stage.clock.advance(0.001)
    assert not stage.follower().fresh("admin")
    await process.beat()
    assert stage.follower().fresh("admin")
    assert stage.follower().alarms() == {}
    assert stage.asked == []


async def test_nobody_is_asked_who_is_silent(stage: Stage) -> None:
    process = stage.process()
    process.write("lost")
    await process.beat()
    await stage.live(200)
    assert stage.asked == []
    await process.beat()
    await stage.look()
    assert len(stage.asked) == 1


async def test_a_heartbeat_that_comes_a_day_late_is_no_sign_of_life_but_what_it_claims_counts(
    stage: Stage,
) -> None:
    process = stage.process()
    process.write("lost")
    late = process.heartbeat()
    await stage.live(24 * 3600)
    await stage.publish(late)
    assert not stage.follower().fresh("admin")
    assert "silent" in stage.follower().alarms()["admin"]
    await process.beat()
    await stage.live(30, process)
    assert len(stage.asked) == 1


@pytest.mark.parametrize(("behind", "fresh"), [(299, True), (601, False)])
async def test_an_owner_whose_clock_is_five_minutes_off_is_heard(
    stage: Stage, behind: int, fresh: bool
) -> None:
    stage.clock.advance(2000)
    process = stage.process()
    heartbeat = process.heartbeat()
    stage.clock.advance(behind)
    await stage.publish(heartbeat)
    assert stage.follower().fresh("admin") is fresh


async def test_a_process_that_falls_silent_without_last_words_is_made_up_for(stage: Stage) -> None:
    crashed, other = stage.process(), stage.process()
    await crashed.beat()
    await stage.live(20, other)
    assert stage.asked == []
    await stage.live(10, other)
    assert len(stage.asked) == 1
    await stage.page()
    assert stage.record(crashed)["live"] is False
    await stage.live(300, other)
    assert len(stage.asked) == 1
    assert stage.follower().fresh("admin")


async def test_a_process_that_was_only_paused_is_followed_again(stage: Stage) -> None:
    paused, other = stage.process(), stage.process()
    await paused.beat()
    await stage.live(40, other)
    await stage.page()
    paused.write("lost")
    await stage.live(50, paused, other)
    assert stage.record(paused)["live"] is True
    assert len(stage.asked) == 2


async def test_a_process_that_said_farewell_is_not_missed_and_its_gap_still_is(stage: Stage) -> None:
    ended, lossy, other = stage.process(), stage.process(), stage.process()
    packets = ended.write("kept")
    lossy.write("lost")
    await stage.publish(ended.heartbeat(closing=True), lossy.heartbeat(closing=True), *packets)
    assert stage.record(ended)["live"] is False
    assert stage.record(lossy)["live"] is True
    await stage.live(40, other)
    assert len(stage.asked) == 1
    await stage.page()
    assert stage.record(lossy)["live"] is False


async def test_last_words_are_no_sign_of_life(stage: Stage) -> None:
    await stage.live(301)
    await stage.publish(stage.process().heartbeat(closing=True))
    assert not stage.follower().fresh("admin")


async def test_events_of_a_stream_that_never_claims_anything_are_forgotten_without_alarm(
    stage: Stage,
) -> None:
    program, process = stage.process(), stage.process()
    await stage.publish(*program.write("a"))
    await stage.live(3700, process)
    assert stage.record(program)["live"] is False
    assert stage.follower().alarms() == {}
    assert stage.asked == []


async def test_a_follower_that_starts_gives_everybody_time_to_speak(stage: Stage) -> None:
    before = stage.process()
    await before.beat()
    stage.clock.advance(7200)  # everything was down
    stage.replicas.clear()
    again = await stage.replica()
    stage.replicas[:] = [again]
    await stage.look()
    assert stage.follower().alarms() == {}
    assert not stage.follower().fresh("admin")
