"""Who may ask notify for what, and where secrets must not be: by name of attack."""

import json

import pytest
import structlog

from services.notify.domain.delivery import Failed, Later
from shared.contracts.envelope import SignedMessage
from shared.contracts.notify import NoticeMail, mail_associated_data, push_associated_data
from tests.notify.support import (
    LINK,
    SECRET,
    Notify,
    alerts,
    everything,
    invitation,
    subscription,
    team_invitation,
    text_of,
)

# Who may ask for what


async def test_refuses_a_mail_sealed_for_another_delivery(notify: Notify) -> None:
    """Recorded traffic: admin's sealed mail in a command that somebody else made."""
    recorded = notify.mail(delivery="first")
    await notify.say("admin", recorded.model_copy(update={"delivery": "second"}))
    assert notify.outside.mails == []
    assert notify.reasons() == ["rejected: sealed for another key, with other associated data, or altered"]


async def test_refuses_a_mail_of_another_tenant(notify: Notify) -> None:
    await notify.say("admin", notify.mail(tenant="fabrikam"), tenant="contoso")
    assert notify.outside.mails == []


@pytest.mark.parametrize("service", ["wsfed", "approval", "notify"])
async def test_only_admin_may_send_mail(notify: Notify, service: str) -> None:
    with pytest.raises(ValueError, match="may not send"):
        await notify.say(service, notify.mail())
    with pytest.raises(ValueError, match="may not send"):
        await notify.say("admin", notify.push())


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/#i=a.b",
        "http://id.localhost:8365.evil.example/#i=a.b",
        "http://id.localhost:8365/signin/#i=a.b",
        "javascript:alert(1)",
    ],
)
async def test_a_taken_over_admin_cannot_mail_links_to_elsewhere(notify: Notify, link: str) -> None:
    await notify.say("admin", notify.mail(invitation(link=link)))
    assert notify.outside.mails == []
    assert notify.reasons() == ["rejected: the link leads elsewhere"]


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/join/contoso/x#y",
        "http://console.localhost:8365.evil.example/join/contoso/x#y",
        "http://console.localhost:8365/sign-in?to=/join/",
        "http://key.id.localhost:8365/#i=a.b",
    ],
)
async def test_a_taken_over_admin_cannot_mail_administrators_links_to_elsewhere(
    notify: Notify, link: str
) -> None:
    await notify.say("admin", notify.mail(team_invitation(link=link), kind="team_invitation"))
    assert notify.outside.mails == []
    assert notify.reasons() == ["rejected: the link leads elsewhere"]


@pytest.mark.parametrize(
    "link", ["https://evil.example/t/contoso", "http://console.localhost:8365/join/contoso/x#y"]
)
async def test_nor_alerts_that_lead_elsewhere(notify: Notify, link: str) -> None:
    await notify.say("admin", notify.mail(alerts(link=link), kind="alerts"))
    assert notify.outside.mails == []
    assert notify.reasons() == ["rejected: the link leads elsewhere"]


async def test_an_administrators_link_is_mailed(notify: Notify) -> None:
    link = "http://console.localhost:8365/join/contoso/mS0i1_yPPUmN1G5ZpLz1TQ#c2VjcmV0"
    await notify.say("admin", notify.mail(team_invitation(link=link), kind="team_invitation"))
    (mail,) = notify.outside.mails
    assert link in text_of(mail, "plain")
    assert "Olga Owner has invited you to administer sign-in for Contoso" in " ".join(
        text_of(mail, "plain").split()
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Ada\r\nBcc: everybody@contoso.example"),
        ("name", "Ada\nX"),
        ("name", "Ada\u2028X"),
        ("name", "Ada\u202egnp.exe"),
        ("organisation", "Contoso\r\n\r\n<script>"),
        ("upn", "ada\0@contoso.example"),
        ("to", "ada@private.example\r\nBcc: everybody@contoso.example"),
        ("to", "ada@private.example, eve@evil.example"),
        ("to", "Ada <ada@private.example>"),
        ("to", "ada"),
        ("to", "@private.example"),
        ("to", "a@b@private.example"),
    ],
)
async def test_header_injection_is_refused(notify: Notify, field: str, value: str) -> None:
    fields = invitation().model_dump(mode="json") | {field: value}
    await notify.say("admin", notify.mail(octets=json.dumps(fields).encode()))
    assert notify.outside.mails == []
    assert notify.reasons() == ["rejected: not a mail: 1 faults"]


async def test_refuses_a_mail_of_another_kind_than_was_said(notify: Notify) -> None:
    added = NoticeMail.model_validate(
        invitation().model_dump() | {"kind": "device_added", "device": "Phone", "at": "2026-03-02T08:00:00Z"}
    )
    await notify.say("admin", notify.mail(added))
    assert notify.reasons() == ["rejected: the mail is of another kind"]


async def test_refuses_a_subscription_whose_key_is_not_on_the_curve(notify: Notify) -> None:
    fields = subscription().model_dump() | {"p256dh": "BA" + "A" * 85}
    sealed = notify.sealer.seal(
        json.dumps(fields).encode(), push_associated_data("contoso", "ada", "subscription")
    )
    await notify.say("approval", notify.push().model_copy(update={"sealed": sealed}))
    assert notify.reasons() == ["rejected: not a subscription: 1 faults"]


# Secrets


async def test_the_links_secret_is_in_no_document_message_dead_letter_or_log(notify: Notify) -> None:
    messages: list[SignedMessage] = []
    publish = notify.world.bus.publish

    async def seen(sent):  # type: ignore[no-untyped-def]
        messages.extend(sent)
        return await publish(sent)

    notify.world.bus.publish = seen  # type: ignore[method-assign]
    notify.outside.says["ada@private.example"] = [Later("SMTP 451"), RuntimeError(LINK), Failed("SMTP 550")]
    with structlog.testing.capture_logs() as logs:
        bad = notify.mail(delivery="bad")
        await notify.say("admin", notify.mail())
        during = everything(notify.world)
        await notify.later(60)
        await notify.later(120)
        await notify.say("admin", bad.model_copy(update={"delivery": "other"}))  # becomes a dead invitation
        await notify.say("approval", notify.push())
    after = everything(notify.world)
    assert notify.states() == ["failed", "sent"]
    wire = " ".join(signed.body.decode() for signed in messages)
    for text in (during, after, wire, repr(logs), repr(notify.world.bus.dead_letters)):
        assert text
        for secret in (SECRET, "ada@private.example", "capability"):
            assert secret not in text
    assert "sealed" not in after  # what has ended keeps nothing at all


async def test_what_is_sealed_cannot_be_opened_elsewhere(notify: Notify) -> None:
    command = notify.mail(delivery="one")
    opener = notify.wired.dependencies.opener
    assert SECRET.encode() in opener.open(command.sealed, mail_associated_data("contoso", "one"))
