"""docs/flows/notification.md, steps 1 to 7 and 12: from subscription to notification."""

import json
from typing import Any

import aiohttp
import pytest
import structlog

from deploy.standins.phone.phone import PhoneError
from services.admin import handlers as admin
from shared.contracts.approval import ChallengeUnnotified
from shared.contracts.notify import PushFailed, SubscriptionGone
from shared.crypto.vapid import load_vapid_public
from tests.flows.post import Post
from tests.flows.support import ADA, BOB, TENANT, Phone, SignIn, known_browser, normal
from tests.notify.support import delivery_loops, everything, said


@pytest.mark.integration
async def test_steps_1_to_6_a_sign_in_request_reaches_the_phone(real_post: Post) -> None:
    flow = real_post.flow
    phone = await flow.phone()
    assert await phone.push_key() == load_vapid_public(flow.world.platform.settings.keys)
    name = await real_post.subscribed(phone)
    sign_in = await flow.begin()
    code = await sign_in.push()
    await real_post.settle()
    (got,) = real_post.service.messages[name]
    assert got.ttl <= 120
    assert said(got.plaintext).keys() == {"v", "kind", "id"}
    assert said(got.plaintext)["kind"] == "request"
    for personal in (ADA, "Ada", "contoso", "Contoso", code, sign_in.id):
        assert personal not in got.plaintext.decode()
    await phone.approve(code)
    assert (await real_post.flow.entra.verify(await sign_in.take(), sign_in.pending)).upn == ADA
    assert real_post.service.refused == []


@pytest.mark.integration
async def test_step_3_every_phone_of_the_account_is_told_and_nobody_elses(real_post: Post) -> None:
    flow = real_post.flow
    await flow.person(BOB)
    mine = [await real_post.subscribed(await flow.phone()) for _ in range(2)]
    others = await real_post.subscribed(await flow.phone(BOB))
    await (await flow.begin()).push()
    await real_post.settle()
    assert [real_post.told(name).count("request") for name in mine] == [1, 1]
    assert others not in real_post.service.messages


async def test_step_3_the_challenge_and_its_notification_are_one_write(post: Post) -> None:
    await post.subscribed(await post.flow.phone())
    sign_in = await post.flow.begin()
    operations = post.flow.world.databases["approval"].operations
    before = len(operations)
    await sign_in.push()
    await post.settle()
    assert "notify.push.send.v1" in [signed.type for signed in post.flow.world.bus.sent]
    assert operations[before:].count(("accounts", "update")) == 1


async def test_a_removed_persons_subscriptions_are_forgotten(post: Post) -> None:
    await post.subscribed(await post.flow.phone())
    assert len(post.account()["subscriptions"]) == 1
    await admin.remove(post.flow.admin, TENANT, ADA)
    await post.settle()
    assert post.account()["subscriptions"] == {}


@pytest.mark.integration
async def test_step_3_push_bombing_ends_with_the_quota(real_post: Post) -> None:
    flow = real_post.flow
    name = await real_post.subscribed(await flow.phone())
    for _ in range(6):
        await (await flow.begin()).push()
        await real_post.settle()
    assert len(real_post.service.messages[name]) == 3


@pytest.mark.integration
async def test_step_3_a_qr_code_notifies_nobody(real_post: Post) -> None:
    name = await real_post.subscribed(await real_post.flow.phone())
    await (await real_post.flow.begin()).qr()
    await real_post.settle()
    assert name not in real_post.service.messages


@pytest.mark.integration
@pytest.mark.parametrize("how", ["gone", "not_found"])
async def test_step_7_a_subscription_that_is_gone_is_forgotten(real_post: Post, how: Any) -> None:
    flow = real_post.flow
    name = await real_post.subscribed(await flow.phone())
    real_post.service.misbehave(name, how)
    await (await flow.begin()).push()
    await real_post.settle()
    assert real_post.account()["subscriptions"] == {}
    await (await flow.begin()).push()
    await real_post.settle()
    assert real_post.service.attempts[name] == 1


UNNOTIFIED = "No notification could be sent."


async def how_it_stands(post: Post, phone: Phone) -> str:
    """Notifications of that phone, as `blok365 account devices` lists them."""
    listed = await admin.list_devices(post.flow.admin, TENANT, ADA)
    (found,) = (each for each in listed if each.id == phone.key.device)
    return found.notifications


async def asked(post: Post, sign_in: SignIn) -> str:
    """A push is asked for on that page, and all that follows has happened; the state of the page."""
    await sign_in.push()
    await post.settle()
    return await sign_in.state()


@pytest.mark.integration
@pytest.mark.parametrize("how", ["gone", "not_found", "redirect"])
async def test_step_7_a_known_browser_hears_that_no_notification_went_out(real_post: Post, how: Any) -> None:
    """Gone, unknown, or refused for good: the page that waits says so, and offers the QR code."""
    flow = real_post.flow
    phone = await flow.phone()
    name = await real_post.subscribed(phone)
    works = await known_browser(flow, phone)
    assert await asked(real_post, works) == "push_waiting"
    assert UNNOTIFIED not in (await works.page()).words()
    await phone.deny()
    real_post.service.misbehave(name, how)
    sign_in = await flow.begin(browser=works.browser)
    assert await asked(real_post, sign_in) == "push_unnotified"
    page = await sign_in.page()
    assert UNNOTIFIED in page.words()
    assert any(form.action.endswith("/qr") for form in page.forms())
    assert await how_it_stands(real_post, phone) == ("on" if how == "redirect" else "ended")
    await phone.approve(page.code())  # the request waits in the app all the same
    assert await sign_in.state() == "proved"


@pytest.mark.integration
async def test_step_7_one_phone_that_was_notified_is_enough(real_post: Post) -> None:
    flow = real_post.flow
    phone, other = await flow.phone(), await flow.phone()
    gone = await real_post.subscribed(phone)
    await real_post.subscribed(other)
    sign_in = await known_browser(flow, other)
    real_post.service.misbehave(gone, "gone")
    assert await asked(real_post, sign_in) == "push_waiting"
    assert [await how_it_stands(real_post, each) for each in (phone, other)] == ["ended", "on"]


@pytest.mark.integration
@pytest.mark.parametrize("how", ["off", "gone", "quota", "frozen"])
async def test_steps_3_and_7_an_unknown_browser_sees_no_difference(real_post: Post, how: str) -> None:
    """As for a name that nobody has: neither in words nor in a poll, at once or later."""
    flow = real_post.flow
    phone = await flow.phone()
    if how != "off":
        name = await real_post.subscribed(phone)
    if how == "gone":
        real_post.service.misbehave(name, "gone")
    if how == "quota":
        for _ in range(3):
            await asked(real_post, await flow.begin())
            await phone.deny()
    if how == "frozen":
        await asked(real_post, await flow.begin())
        await phone.not_me()
    real, none = await flow.begin(), await flow.begin("nobody@contoso.example")
    before = [normal(await each.page()) for each in (real, none)]
    states = [await asked(real_post, each) for each in (real, none)]
    after = [normal(await each.page()) for each in (real, none)]
    assert before[0] == before[1]
    assert states == ["push_waiting", "push_waiting"]
    assert after[0] == after[1]
    assert flow.sent("approval.challenge.unnotified.v1") == []


@pytest.mark.parametrize("how", ["quota", "frozen"])
async def test_step_3_a_known_browser_hears_that_a_quota_or_freeze_stopped_it(post: Post, how: str) -> None:
    flow = post.flow
    phone = await flow.phone()
    await phone.turn_on_notifications()
    sign_in = await known_browser(flow, phone)
    if how == "frozen":
        await sign_in.push()
        await phone.not_me()
        reported = await sign_in.page()
        assert reported.state() == "not_me"
        assert not reported.forms()[0].action.endswith("/push")
    else:
        for _ in range(3):
            await sign_in.push()
            await phone.deny()
    assert await asked(post, sign_in) == "push_unnotified"


async def test_step_7_word_that_nobody_was_notified_counts_for_its_own_request_only(post: Post) -> None:
    """approval's word, twice, late, of another tenant, and for a browser that must not learn of it."""
    flow = post.flow
    phone = await flow.phone()
    await phone.turn_on_notifications()
    sign_in = await known_browser(flow, phone)
    await sign_in.push()
    first = sign_in.stored["challenge"]["context"]["challenge"]
    await sign_in.push()
    ids = {"transaction": sign_in.id, "account": phone.key.account}
    await flow.say("approval", ChallengeUnnotified(challenge=first, **ids))
    assert await sign_in.state() == "push_waiting"
    now = ChallengeUnnotified(challenge=sign_in.stored["challenge"]["context"]["challenge"], **ids)
    await flow.say("approval", now, tenant="fabrikam")
    assert flow.reasons() == ["rejected: no such transaction in this tenant"]
    assert await sign_in.state() == "push_waiting"
    for _ in range(2):
        await flow.say("approval", now)
        assert await sign_in.state() == "push_unnotified"
    await phone.approve((await sign_in.page()).code())
    await sign_in.take()
    await flow.say("approval", now)
    assert await sign_in.state() == "finished"
    stranger = await flow.begin()
    await stranger.push()
    challenge = stranger.stored["challenge"]["context"]["challenge"]
    await flow.say(
        "approval", ChallengeUnnotified(challenge=challenge, **{**ids, "transaction": stranger.id})
    )
    assert await stranger.state() == "push_waiting"
    assert stranger.stored["challenge"]["unnotified"] is False


async def test_step_7_word_of_a_failed_push_counts_once_and_for_its_own_request(post: Post) -> None:
    flow = post.flow
    phone = await flow.phone()
    subscription = await phone.turn_on_notifications()
    sign_in = await known_browser(flow, phone)
    await sign_in.push()
    challenge = sign_in.stored["challenge"]["context"]["challenge"]
    whose = {"account": phone.key.account, "subscription": subscription}
    for other in (f"{challenge}.another", f"another.{subscription}", challenge):
        await flow.say("notify", PushFailed(delivery=other, **whose))
    assert await sign_in.state() == "push_waiting"
    for _ in range(2):
        await flow.say("notify", PushFailed(delivery=f"{challenge}.{subscription}", **whose))
    assert await sign_in.state() == "push_unnotified"
    assert len(flow.sent("approval.challenge.unnotified.v1")) == 1


async def test_step_2_followers_know_which_phones_get_notifications(post: Post) -> None:
    """Also when the events were lost, and after the projections were made anew."""
    flow = post.flow
    phone, other = await flow.phone(), await flow.phone()
    assert await how_it_stands(post, phone) == "off"
    await phone.turn_on_notifications()
    await phone.turn_on_notifications()
    assert await how_it_stands(post, phone) == "on"
    versions = [
        json.loads(p.body)["body"]["version"]
        for p in flow.sent("approval.device.changed.v1")
        if json.loads(p.body)["body"]["device"] == phone.key.device
    ]
    assert versions == [1, 2]  # the second subscription is no news to anybody
    flow.world.bus.loses = lambda signed: signed.type == "approval.device.changed.v1"
    await phone.unsubscribe()
    assert await how_it_stands(post, phone) == "on"
    await flow.world.live(20)
    assert await how_it_stands(post, phone) == "off"
    await phone.turn_on_notifications()
    await phone.remove_device(phone.key.device)
    await flow.world.live(20)
    assert await how_it_stands(post, phone) == "off"
    assert await flow.counts(other.key)


@pytest.mark.integration
async def test_step_5_a_push_service_that_is_busy_is_asked_again_within_the_request(real_post: Post) -> None:
    flow = real_post.flow
    name = await real_post.subscribed(await flow.phone())
    real_post.service.misbehave(name, "too_many", times=1, retry_after="20")
    await (await flow.begin()).push()
    await real_post.settle()
    flow.world.clock.advance(20)
    await delivery_loops(real_post.notify)[1].round()
    await real_post.settle()
    (got,) = real_post.service.messages[name]
    assert got.ttl == 100


@pytest.mark.integration
async def test_step_12_the_other_phones_are_told_of_one_that_is_added_or_removed(real_post: Post) -> None:
    flow = real_post.flow
    await flow.person(BOB)
    kept, lost, bobs = await flow.phone(), await flow.phone(), await flow.phone(BOB)
    name, lost_name, bobs_name = [await real_post.subscribed(p) for p in (kept, lost, bobs)]
    await flow.phone()
    await kept.remove_device(lost.key.device)
    await real_post.settle()
    assert real_post.told(name) == ["device_added", "device_removed"]
    assert real_post.told(lost_name) == ["device_added"]
    assert real_post.told(bobs_name) == []


async def test_step_12_an_administrators_removal_tells_the_phones_that_are_left_in_the_same_write(
    post: Post,
) -> None:
    kept, lost = await post.flow.phone(), await post.flow.phone()
    for phone in (kept, lost):
        await post.subscribed(phone)
    before = len(post.flow.world.bus.sent)
    await admin.remove_device(post.flow.admin, TENANT, ADA, lost.key.device)
    await post.settle()
    pushes = [
        json.loads(p.body)["body"]
        for p in post.flow.world.bus.sent[before:]
        if p.type == "notify.push.send.v1"
    ]
    assert [(p["kind"], p["delivery"].partition(".")[0]) for p in pushes] == [
        ("device_removed", lost.key.device)
    ]


@pytest.mark.integration
async def test_a_phone_taken_out_of_use_or_unsubscribed_is_told_nothing(real_post: Post) -> None:
    flow = real_post.flow
    removed, quiet, kept = [await flow.phone() for _ in range(3)]
    names = [await real_post.subscribed(phone) for phone in (removed, quiet, kept)]
    await kept.remove_device(removed.key.device)
    await quiet.unsubscribe()
    await (await flow.begin()).push()
    await real_post.settle()
    assert [real_post.told(name).count("request") for name in names] == [0, 0, 1]
    assert len(real_post.account()["subscriptions"]) == 1


@pytest.mark.integration
async def test_a_phone_that_subscribes_again_is_told_once_and_its_old_end_does_not_end_the_new(
    real_post: Post,
) -> None:
    flow = real_post.flow
    phone = await flow.phone()
    old = await phone.subscribe(real_post.service.subscribe(await phone.push_key()))
    name = await real_post.subscribed(phone)
    await flow.say("notify", SubscriptionGone(account=phone.key.account, subscription=old))
    await (await flow.begin()).push()
    await real_post.settle()
    assert len(real_post.service.messages[name]) == 1


async def test_step_2_refuses_what_is_no_subscription(post: Post) -> None:
    phone = await post.flow.phone()
    good = post.service.subscribe(await phone.push_key())
    off_the_curve = "BA" + "A" * 85
    for wrong in (
        {},
        {**good, "endpoint": None},
        {**good, "endpoint": "x" * 3000},
        {**good, "keys": {}},
        {**good, "keys": "no"},
        {**good, "keys": {**good["keys"], "p256dh": off_the_curve}},
        {**good, "keys": {**good["keys"], "auth": "short"}},
    ):
        with pytest.raises(PhoneError) as refused:
            await phone.subscribe(wrong)
        assert (refused.value.status, refused.value.code) == (400, "subscription")
    assert post.account()["subscriptions"] == {}


async def test_step_2_needs_a_session_of_that_phone(post: Post) -> None:
    body = post.service.subscribe(load_vapid_public(post.flow.world.platform.settings.keys))
    origin = post.flow.phone_origin
    async with post.flow.http() as http:
        for method in ("POST", "DELETE"):
            answer = await http.request(
                method, f"{origin}/api/push-subscription", json=body, headers={"Origin": origin}
            )
            assert answer.status == 401


async def test_step_2_refuses_another_sites_request(post: Post) -> None:
    phone = await post.flow.phone()
    await phone.sign_in()
    headers = {"Origin": "https://evil.example", "Authorization": f"Bearer {phone.token}"}
    async with post.flow.http() as http:
        for method in ("POST", "DELETE"):
            answer = await http.request(
                method, f"{post.flow.phone_origin}/api/push-subscription", json={}, headers=headers
            )
            assert answer.status == 403


async def test_step_2_approval_keeps_nothing_that_it_can_read(post: Post) -> None:
    phone = await post.flow.phone()
    with structlog.testing.capture_logs() as logs:
        name = await post.subscribed(phone)
        await (await post.flow.begin()).push()
    sent = " ".join(signed.body.decode() for signed in post.flow.world.bus.sent)
    for text in (everything(post.flow.world), sent, repr(logs)):
        assert name not in text
        assert "127.0.0.1:9" not in text.replace("'destination': '127.0.0.1:9'", "")
    await post.settle()


@pytest.mark.integration
async def test_a_taken_over_approval_cannot_make_notify_speak_to_our_own_network(real_post: Post) -> None:
    """SSRF by a sealed endpoint: the stand-in plays an inner service that no list names."""
    flow = real_post.flow
    phone = await flow.phone()
    made = real_post.service.subscribe(await phone.push_key())
    inner = made["endpoint"].replace("127.0.0.1", "localhost")
    await phone.subscribe({**made, "endpoint": inner})
    await (await flow.begin()).push()
    await real_post.settle()
    assert real_post.service.attempts == {}
    assert real_post.account()["subscriptions"] == {}
    async with aiohttp.ClientSession() as http:  # it was there to be reached
        assert (await http.post(inner.replace("localhost", "127.0.0.1"))).status == 401
