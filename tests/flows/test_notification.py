"""docs/flows/notification.md, step by step: from subscription to notification, from `invite` to the mailbox."""

import hashlib
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog
from aiohttp import web

from deploy.standins.phone.phone import PhoneError
from deploy.standins.push.app import PushService
from services.admin import handlers as admin
from services.admin.domain.accounts import Account
from services.notify import app as notify_app
from services.notify.config import NotifySettings
from services.notify.ports import Dependencies
from services.wsfed import app as wsfed_app
from shared.contracts.approval import ChallengeUnnotified, DeviceChanged
from shared.contracts.notify import PushFailed, SubscriptionGone
from shared.crypto.vapid import load_vapid_public
from shared.ids import SystemIds, b64u
from tests.flows.support import ADA, BOB, TENANT, Flow, Phone, SignIn, known_browser, normal
from tests.notify.support import delivery_loops, everything, said


@dataclass
class Post:
    """A flow with notify, a push service and a mail folder."""

    flow: Flow
    notify: Dependencies
    service: PushService
    folder: Path

    async def settle(self) -> None:
        """Until every message was carried."""
        for _ in range(3):
            await self.flow.world.settle()
            for loop in delivery_loops(self.notify):
                await loop.idle()

    async def subscribed(self, phone: Phone) -> str:
        """Steps 1 and 2; the subscription's name at the push service."""
        made = self.service.subscribe(await phone.push_key())
        await phone.subscribe(made)
        return str(made["endpoint"]).rpartition("/")[2]

    def mails(self, kind: str = "*") -> list[EmailMessage]:
        """What is in the folder: `invitation`, `device_added`."""
        found = [
            message_from_bytes(f.read_bytes(), policy=policy.default)
            for f in sorted(self.folder.glob(f"*.{kind}.eml"))
        ]
        return [each for each in found if isinstance(each, EmailMessage)]

    def told(self, name: str) -> list[str]:
        """The kinds of what was pushed to that subscription."""
        return [said(got.plaintext)["kind"] for got in self.service.messages[name]]

    def deliveries(self) -> list[dict[str, Any]]:
        return self.flow.world.documents("notify", "deliveries")

    def account(self) -> dict[str, Any]:
        """Ada's document at approval."""
        (found,) = (d for d in self.flow.world.documents("approval", "accounts") if d["upn"] == ADA)
        return found


@pytest.fixture
async def post(flow: Flow, tmp_path: Path) -> AsyncIterator[Post]:
    """notify beside the others; its mails are files, and its push service is not reached."""
    async for made in with_notify(
        flow, tmp_path, PushService(flow.world.clock, SystemIds(), "http://127.0.0.1:9")
    ):
        yield made


@pytest.fixture
async def real_post(flow: Flow, tmp_path: Path) -> AsyncIterator[Post]:
    """The same with the push service on a real socket."""
    service = PushService(flow.world.clock, SystemIds())
    runner = web.AppRunner(service.app(), shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    service.origin = "http://{}:{}".format(*runner.addresses[0])
    async for made in with_notify(flow, tmp_path, service):
        yield made
    await runner.cleanup()


async def with_notify(flow: Flow, folder: Path, service: PushService) -> AsyncIterator[Post]:
    settings = NotifySettings(
        mail_folder=folder / "mail",
        push_local=(service.origin.removeprefix("http://"),),
        contact="mailto:ops@contoso.example",
    )
    wired = notify_app.build(flow.world.platform, settings)

    await flow.world.begin(wired.service)
    await flow.world.current()
    yield Post(flow, wired.dependencies, service, folder / "mail")
    for step in wired.service.on_stop:
        await step()


def link_in(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    found = re.search(r"^http://\S+/#i=\S+", str(part.get_content()), re.MULTILINE)
    assert found is not None
    return found[0]


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


async def test_step_8_the_invitation_its_event_and_its_mail_are_one_write(post: Post) -> None:
    operations = post.flow.world.databases["admin"].operations
    before = len(operations)
    await admin.invite(post.flow.admin, TENANT, ADA)
    writes = [each for each in operations[before:] if each[1] in ("insert", "update")]
    assert writes == [("invitations", "insert")]
    (stored,) = post.flow.world.documents("admin", "invitations")
    assert [each["type"] for each in stored["outbox"]] == [
        "admin.invitation.changed.v1",
        "notify.mail.send.v1",
    ]
    await post.settle()


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


async def test_step_12_a_removed_phone_is_told_by_mail_once(post: Post) -> None:
    lost, kept = await post.flow.phone(), await post.flow.phone()
    await kept.remove_device(lost.key.device)
    await post.settle()
    (told,) = [p for p in post.flow.world.bus.sent if p.type == "approval.device.changed.v1"][2:]
    await post.flow.publish(told)
    await post.settle()
    (notice,) = post.mails("device_removed")
    assert notice["Subject"] == "Contoso: a phone was removed from your account"


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


async def test_steps_8_to_11_an_invitation_arrives_by_mail_and_enrols_a_phone(post: Post) -> None:
    await admin.invite(post.flow.admin, TENANT, ADA)
    await post.settle()
    (mail,) = post.mails()
    assert mail["To"].addresses[0].addr_spec == "Ada@private.example"
    phone = await post.flow.bare_phone()
    await phone.enrol(link_in(mail), name="Ada's new phone")
    await post.settle()
    assert (await post.flow.account()).status.value == "active"
    (notice,) = post.mails("device_added")
    assert notice["Subject"] == "Contoso: a phone was added to your account"
    assert "Ada's new phone" in notice.as_string()


async def test_step_8_a_new_invitation_withdraws_the_one_before_and_both_are_mails(post: Post) -> None:
    await admin.invite(post.flow.admin, TENANT, ADA)
    await admin.invite(post.flow.admin, TENANT, ADA)
    await post.settle()
    links = [link_in(each) for each in post.mails("invitation")]
    (good,) = (d["_id"] for d in post.flow.world.documents("admin", "invitations") if d["status"] == "open")
    (withdrawn,) = (link for link in links if good not in link)
    phone = await post.flow.bare_phone()
    with pytest.raises(PhoneError) as refused:
        await phone.enrol(withdrawn)
    assert refused.value.code == "invitation"
    await phone.enrol(next(link for link in links if good in link))


async def test_step_8_a_link_that_is_handed_over_is_not_mailed(post: Post) -> None:
    await admin.invite(post.flow.admin, TENANT, ADA, send_mail=False)
    await post.settle()
    assert post.mails() == []
    assert post.deliveries() == []


async def test_step_10_the_secret_is_only_in_the_mailbox(post: Post) -> None:
    with structlog.testing.capture_logs() as logs:
        link = await admin.invite(post.flow.admin, TENANT, ADA)
        before = everything(post.flow.world)  # in admin's outbox
        await post.settle()
        phone = await post.flow.bare_phone()
        await phone.enrol(link.url)
        await post.settle()
    secret = link.url.rpartition(".")[2]
    sent = " ".join(signed.body.decode() for signed in post.flow.world.bus.sent)
    assert "notify.mail.send.v1" in sent
    for text in (before, everything(post.flow.world), sent, repr(logs), repr(link)):
        assert secret not in text
    for text in (sent, repr(logs), repr(post.deliveries())):
        assert "private.example" not in text
    assert secret in link_in(post.mails("invitation")[0])


async def test_step_11_a_notice_is_mailed_once_although_the_event_comes_again(post: Post) -> None:
    await post.flow.phone()
    await post.settle()
    (told,) = (p for p in post.flow.world.bus.sent if p.type == "approval.device.changed.v1")
    for _ in range(3):
        await post.flow.publish(told)
    await post.settle()
    assert sorted(d["kind"] for d in post.deliveries()) == ["device_added", "invitation"]
    assert len(post.mails()) == 2


async def test_step_11_wsfed_says_that_a_key_counts_in_the_write_that_makes_it_count(post: Post) -> None:
    """Two writes: the chain is kept, then the key counts. Whichever of chain and decision comes first."""
    before = len(post.flow.world.databases["wsfed"].operations)
    phone = await post.flow.phone()
    (said,) = (p for p in post.flow.world.bus.sent if p.type == "wsfed.authenticator.accepted.v1")
    body = json.loads(said.body)["body"]
    assert body["key_sha256"] == b64u(hashlib.sha256(phone.key.spki).digest())
    operations = post.flow.world.databases["wsfed"].operations[before:]
    assert operations.count(("devices", "update")) == 2


async def test_step_11_a_key_that_does_not_count_is_not_said_to(post: Post) -> None:
    """Nothing follows from a device whose chain does not hold, but approval's own word."""
    phone = await post.flow.phone()
    await post.settle()
    (told,) = (p for p in post.flow.world.bus.sent if p.type == "approval.device.changed.v1")
    forged = DeviceChanged.model_validate(
        json.loads(told.body)["body"] | {"device": "forged", "public_key": b64u(b"another key"), "version": 1}
    )
    await post.flow.say("approval", forged)
    said = [p for p in post.flow.world.bus.sent if p.type == "wsfed.authenticator.accepted.v1"]
    assert [json.loads(p.body)["body"]["authenticator"] for p in said] == [phone.key.device]


async def test_step_11_a_phone_that_admin_and_approval_keep_quiet_about_is_told_by_wsfed_alone(
    post: Post,
) -> None:
    """Both are taken over, and say it in pages to wsfed only."""
    for dispatcher in post.flow.world.bus._replicas["notify"]:
        dispatcher._table.pop("approval.device.changed.v1")
        dispatcher._table.pop("admin.authenticator.changed.v1")
    await post.flow.phone()
    await post.settle()
    (notice,) = post.mails("device_added")
    assert notice["To"].addresses[0].addr_spec == "Ada@private.example"


async def test_step_11_the_address_before_hears_of_a_phone_that_was_enrolled_after_the_change(
    post: Post,
) -> None:
    """A taken-over admin changes the address first."""
    ada = await post.flow.account()
    stolen = partial(replace_email, email="eve@evil.example")
    await post.flow.admin.accounts.change(TENANT, ada.id, stolen)
    await post.flow.phone()
    await post.settle()
    assert sorted(m["To"].addresses[0].addr_spec for m in post.mails("device_added")) == [
        "Ada@private.example",
        "eve@evil.example",
    ]


def replace_email(account: Account, email: str) -> Account:
    return replace(account, email=email, version=account.version + 1)


async def test_step_11_nobody_is_told_again_when_wsfed_is_rebuilt_on_an_empty_database(post: Post) -> None:
    await post.flow.phone()
    await post.settle()
    await post.flow.world.restart(wsfed_app.build, "wsfed", empty=True)
    await post.flow.world.live(20)
    await post.settle()
    assert [p.type for p in post.flow.world.bus.sent].count("wsfed.authenticator.accepted.v1") == 2
    assert len(post.mails("device_added")) == 1


async def test_step_11_contacts_reach_notify_by_pull_when_it_starts_late(flow: Flow, tmp_path: Path) -> None:
    """Its database is empty, and no event speaks of accounts that were made before."""
    await flow.person(BOB)
    service = PushService(flow.world.clock, SystemIds(), "http://127.0.0.1:9")
    async for post in with_notify(flow, tmp_path, service):
        await flow.phone(BOB)
        await post.settle()
        (notice,) = post.mails("device_added")
        assert notice["To"].addresses[0].addr_spec == "Bob@private.example"


async def test_step_11_a_phones_name_cannot_write_the_mail(post: Post) -> None:
    phone = await post.flow.bare_phone()
    await phone.enrol(await post.flow.invite(), name="x\r\nBcc: eve@evil.example\u202e<script>")
    await post.settle()
    (notice,) = post.mails("device_added")
    assert notice["Bcc"] is None
    assert "<script>" not in notice.get_body(("html",)).get_content()  # type: ignore[union-attr]


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
