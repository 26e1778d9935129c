"""docs/flows/notification.md, steps 8 to 12: from `invite` to the mailbox, and the notices that follow."""

import hashlib
import json
import re
from dataclasses import replace
from email.message import EmailMessage
from functools import partial
from pathlib import Path

import pytest
import structlog

from deploy.standins.phone.phone import PhoneError
from deploy.standins.push.app import PushService
from services.admin import handlers as admin
from services.admin.domain.accounts import Account
from services.wsfed import app as wsfed_app
from shared.contracts.approval import DeviceChanged
from shared.ids import SystemIds, b64u
from tests.flows.post import Post, with_notify
from tests.flows.support import ADA, BOB, TENANT, Flow
from tests.notify.support import everything


def link_in(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    found = re.search(r"^http://\S+/#i=\S+", str(part.get_content()), re.MULTILINE)
    assert found is not None
    return found[0]


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


async def test_step_12_a_removed_phone_is_told_by_mail_once(post: Post) -> None:
    lost, kept = await post.flow.phone(), await post.flow.phone()
    await kept.remove_device(lost.key.device)
    await post.settle()
    (told,) = [p for p in post.flow.world.bus.sent if p.type == "approval.device.changed.v1"][2:]
    await post.flow.publish(told)
    await post.settle()
    (notice,) = post.mails("device_removed")
    assert notice["Subject"] == "Contoso: a phone was removed from your account"


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
    text = notice.get_body(("plain",))
    assert text is not None
    assert "Ada's new phone" in text.get_content()


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
