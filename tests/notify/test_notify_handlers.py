"""Commands, attempts, retries: what notify promises when the outside misbehaves."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import structlog

from services.notify.domain.delivery import LEASE, Delivery, Failed, Gone, Later, State
from services.notify.handlers.attempts import attempt
from shared.contracts.envelope import SignedMessage
from shared.contracts.notify import SubscriptionGone
from shared.errors import Unavailable
from tests.notify.support import LINK, Notify, invitation, said, subscription, text_of


async def test_a_mail_is_sent_at_once(notify: Notify) -> None:
    command = notify.mail()
    await notify.say("admin", command)
    (mail,) = notify.outside.mails
    assert LINK in text_of(mail, "plain")
    assert notify.document(command)["state"] == "sent"


async def test_a_push_says_only_of_what_kind_it_is(notify: Notify) -> None:
    """Its id is the same when it is sent again, another one for another push, and no id of anything else."""
    command = notify.push(subscription(), seconds=90)
    endpoint = subscription().endpoint
    notify.outside.says[endpoint] = [Later("HTTP 503")]
    await notify.say("approval", command)
    await notify.later(5)
    await notify.say("approval", notify.push(subscription()))
    first, second = [said(payload) for _, payload, _ in notify.outside.pushes]
    assert first.keys() == {"v", "kind", "id"}
    assert (first["v"], first["kind"]) == (1, "request")
    assert first["id"] != second["id"]
    assert command.delivery not in first["id"]
    assert len(first["id"]) == 12
    assert timedelta(seconds=84) < notify.outside.pushes[0][2] <= timedelta(seconds=85)


async def test_a_command_delivered_twice_is_one_mail(notify: Notify) -> None:
    command = notify.mail()
    signed = notify.world.signer("admin").sign(command, tenant="contoso")
    await asyncio.gather(*(notify.world.bus.publish([signed]) for _ in range(5)))
    await notify.done()
    await notify.say("admin", command)  # and the sender, having lost its memory, in a new envelope
    assert len(notify.outside.mails) == 1
    assert notify.states() == ["sent"]


async def test_a_late_copy_sends_nothing_after_the_delivery_has_ended(notify: Notify) -> None:
    command = notify.mail()
    await notify.say("admin", command)
    notify.world.clock.advance(3600)
    await notify.say("admin", command)
    assert len(notify.outside.mails) == 1


async def test_tries_again_until_it_is_taken(notify: Notify) -> None:
    notify.outside.says["ada@private.example"] = [Later("SMTP 451"), Later("TimeoutError")]
    command = notify.mail()
    await notify.say("admin", command)
    assert (notify.states(), notify.document(command)["reason"]) == (["waiting"], "SMTP 451")
    await notify.later(1)
    assert len(notify.outside.tried) == 1  # not yet due
    await notify.later(45)
    await notify.later(90)
    assert (notify.states(), notify.document(command)["attempts"]) == (["sent"], 3)


async def test_what_will_never_be_taken_is_tried_once(notify: Notify) -> None:
    notify.outside.says["ada@private.example"] = [Failed("RCPT 550")]
    command = notify.mail()
    await notify.say("admin", command)
    await notify.later(3600, rounds=3)
    assert (notify.states(), len(notify.outside.tried)) == (["failed"], 1)


async def test_too_many_requests_waits_as_long_as_was_asked(notify: Notify) -> None:
    to = subscription()
    notify.outside.says[to.endpoint] = [Later("HTTP 429", timedelta(seconds=40))]
    await notify.say("approval", notify.push(to))
    await notify.later(39)
    assert len(notify.outside.tried) == 1
    await notify.later(1)
    assert notify.states() == ["sent"]


async def test_a_gone_subscription_is_told_to_approval_once(notify: Notify) -> None:
    to = subscription()
    notify.outside.says[to.endpoint] = [Gone("HTTP 410")]
    await notify.say("approval", notify.push(to, name="old"))
    await notify.later(10, rounds=5)
    assert notify.heard == [SubscriptionGone(account="ada", subscription="old")]
    assert (notify.states(), len(notify.outside.tried)) == (["gone"], 1)


async def test_an_endpoint_that_is_no_push_service_is_never_connected_to_and_forgotten(
    notify: Notify,
) -> None:
    await notify.say("approval", notify.push(subscription("https://169.254.169.254/latest"), name="forged"))
    assert notify.outside.tried == []
    assert notify.heard == [SubscriptionGone(account="ada", subscription="forged")]


async def test_a_push_that_comes_after_its_request_has_ended_is_dropped(notify: Notify) -> None:
    command = notify.push(seconds=120)
    notify.world.clock.advance(121)
    await notify.say("approval", command)
    assert notify.outside.tried == []
    assert notify.document(command)["state"] == "expired"


async def test_a_push_is_not_retried_beyond_its_request(notify: Notify) -> None:
    to = subscription()
    notify.outside.says[to.endpoint] = [Later("HTTP 503")] * 50
    await notify.say("approval", notify.push(to, seconds=120))
    await notify.later(5, rounds=60)
    assert notify.states() == ["expired"]
    assert 5 <= len(notify.outside.tried) <= 15


async def test_one_poison_address_does_not_hold_up_good_ones(notify: Notify) -> None:
    notify.outside.says["poison@bad.example"] = [RuntimeError("boom")] * 50
    notify.outside.holds["silent@mute.example"] = asyncio.Event()
    bad = [notify.mail(invitation(to)) for to in ("poison@bad.example", "silent@mute.example")]
    good = [notify.mail(invitation(f"person{n}@good.example")) for n in range(20)]
    for command in [*bad, *good]:
        await notify.world.say("admin", command)
    for _ in range(15):
        await notify.mails.round()
        await notify.world.settle()
    assert len(notify.outside.mails) == 20
    assert notify.states().count("sent") == 20
    notify.outside.holds["silent@mute.example"].set()
    await notify.done()


async def test_a_host_that_never_answers_takes_only_its_own_slots(notify: Notify) -> None:
    mute = [subscription(f"https://mute.mozilla.com/{n}") for n in range(200)]
    for to in mute:
        notify.outside.holds[to.endpoint] = asyncio.Event()
        await notify.world.say("approval", notify.push(to))
    await notify.world.say("approval", notify.push(subscription("https://good.mozilla.com/1")))
    for _ in range(5):
        await notify.pushes.round()
        await notify.world.settle()
    assert [to for to, _, _ in notify.outside.pushes] == ["https://good.mozilla.com/1"]
    assert len(notify.outside.tried) == 16 + 1  # a quarter of 64
    for event in notify.outside.holds.values():
        event.set()
    await notify.done()


async def test_a_retry_is_not_late_because_another_host_is_silent(notify: Notify) -> None:
    good = subscription("https://good.mozilla.com/1")
    notify.outside.says[good.endpoint] = [Later("HTTP 503")]
    mute = [subscription(f"https://mute.mozilla.com/{n}") for n in range(150)]
    for to in mute:
        notify.outside.holds[to.endpoint] = asyncio.Event()
    loop = asyncio.create_task(notify.pushes.run(1))
    for to in (good, *mute):
        await notify.world.say("approval", notify.push(to))
    for _ in range(4):
        notify.world.clock.advance(1)
        for _ in range(20):
            await asyncio.sleep(0)
    assert [to for to, _, _ in notify.outside.pushes] == [good.endpoint]
    loop.cancel()
    for event in notify.outside.holds.values():
        event.set()
    await notify.done()


async def test_a_slot_that_is_free_is_used_before_the_next_second(notify: Notify) -> None:
    notify.mails._stopped = True  # they come faster than they can be taken
    for n in range(30):
        await notify.world.say("admin", notify.mail(invitation(f"person@firm{n}.example")))
    notify.mails._stopped = False
    loop = asyncio.create_task(notify.mails.run(1))
    for _ in range(200):
        await asyncio.sleep(0)
    assert len(notify.outside.mails) == 30  # and the clock stood still
    loop.cancel()


async def test_a_database_that_is_away_when_the_mail_has_left_does_not_send_it_again(notify: Notify) -> None:
    deliveries = notify.wired.dependencies.deliveries
    replace, calls = deliveries.replace, 0

    async def away_for_a_while(
        before: Delivery, after: Delivery, outbox: Sequence[SignedMessage] = ()
    ) -> bool:
        nonlocal calls
        calls += 1
        if 2 <= calls <= 6:
            raise Unavailable()
        return await replace(before, after, outbox)

    deliveries.replace = away_for_a_while  # type: ignore[method-assign]
    command = notify.mail()
    await notify.world.say("admin", command)
    for _ in range(10):
        for _ in range(5):
            await asyncio.sleep(0)
        notify.world.clock.advance(1)
    await notify.done()
    await notify.later(120)
    assert (notify.states(), len(notify.outside.mails)) == (["sent"], 1)


async def test_a_database_that_stays_away_leaves_the_delivery_to_the_next_lease(notify: Notify) -> None:
    deliveries = notify.wired.dependencies.deliveries
    replace, away = deliveries.replace, True

    async def stays_away(before: Delivery, after: Delivery, outbox: Sequence[SignedMessage] = ()) -> bool:
        if away and after.state is not State.WAITING:
            raise Unavailable()
        return await replace(before, after, outbox)

    deliveries.replace = stays_away  # type: ignore[method-assign]
    await notify.world.say("admin", notify.mail())
    for _ in range(61):
        for _ in range(3):
            await asyncio.sleep(0)
        notify.world.clock.advance(1)
    await notify.mails.idle()
    away = False
    await notify.later(1)
    assert (notify.states(), len(notify.outside.mails)) == (["sent"], 2)


async def test_ten_times_more_than_there_are_slots_all_arrive(notify: Notify) -> None:
    for n in range(80):
        await notify.world.say("admin", notify.mail(invitation(f"person@firm{n}.example")))
    while "waiting" in notify.states():
        await notify.round()
    assert len(notify.outside.mails) == 80
    assert notify.outside.most <= 8


async def test_a_fault_of_ours_is_retried_and_then_given_up(notify: Notify) -> None:
    notify.outside.says["ada@private.example"] = [RuntimeError("ada@private.example")] * 99
    command = notify.mail()
    with structlog.testing.capture_logs() as logs:
        await notify.say("admin", command)
        await notify.later(3600, rounds=30)
    assert notify.document(command)["state"] == "expired"
    assert "ada@private" not in repr(logs)


async def test_a_process_that_dies_in_the_middle_of_an_attempt_leaves_it_to_the_next(notify: Notify) -> None:
    notify.outside.holds["ada@private.example"] = asyncio.Event()
    command = notify.mail()
    await notify.world.say("admin", command)
    for _ in range(5):
        await asyncio.sleep(0)
    assert notify.document(command)["attempts"] == 1
    await notify.mails.stop(0)  # cut off: as a kill, its outcome is never recorded
    notify.restart()
    del notify.outside.holds["ada@private.example"]
    await notify.later(LEASE.total_seconds() - 1)
    assert notify.outside.mails == []  # for all it knows, the attempt is still under way
    await notify.later(1)
    assert len(notify.outside.mails) == 1
    assert notify.document(command)["attempts"] == 2


async def test_a_kill_between_the_servers_yes_and_our_note_sends_the_same_mail_again(notify: Notify) -> None:
    """At least once: nobody can close that window. Both have one Message-ID, so a mail server may see it."""
    command = notify.mail()
    await notify.say("admin", command)
    (first,) = notify.outside.mails
    (document,) = notify.documents()
    document.update(state="waiting", attempts=1, sealed=command.sealed)  # the note was lost
    document["next_at"] = notify.world.clock.now()
    del document["ended_at"]
    await notify.later(1)
    assert [mail["Message-ID"] for mail in notify.outside.mails] == [first["Message-ID"]] * 2


async def test_two_replicas_make_one_attempt(notify: Notify) -> None:
    command = notify.mail()
    notify.mails._stopped = True  # keep it waiting
    await notify.say("admin", command)
    notify.restart()
    deps = notify.wired.dependencies
    (due,) = await deps.deliveries.due("mail", notify.world.clock.now(), busy=(), limit=10)
    await asyncio.gather(*(attempt(deps, due) for _ in range(10)))
    assert len(notify.outside.mails) == 1


async def test_an_attempt_that_outlives_its_lease_does_not_overwrite_the_next(notify: Notify) -> None:
    gate = notify.outside.holds["ada@private.example"] = asyncio.Event()
    command = notify.mail()
    await notify.world.say("admin", command)
    for _ in range(5):
        await asyncio.sleep(0)
    old = notify.mails
    notify.restart()
    del notify.outside.holds["ada@private.example"]
    notify.outside.says["ada@private.example"] = [Later("SMTP 451")]
    await notify.later(LEASE.total_seconds())
    assert notify.document(command)["state"] == "waiting"
    notify.outside.says["ada@private.example"] = [Failed("SMTP 550")]
    gate.set()
    await old.idle()
    assert (notify.document(command)["state"], notify.document(command)["attempts"]) == ("waiting", 2)
