"""docs/flows/enrolment.md, "A link that no longer works", with the same numbers."""

import pytest

from deploy.standins.phone.phone import PhoneError, SoftPhone
from services.admin import handlers as admin
from shared.contracts.envelope import Envelope
from shared.contracts.notify import MAIL, InvitationMail, SendMail, mail_associated_data
from shared.crypto.sealed_box import load_opener
from shared.ids import b64u
from tests.flows.support import ADA, TENANT, Flow

DAY = 24 * 3600


def mailed(flow: Flow) -> list[InvitationMail]:
    """Step 4: what notify can open."""
    opener = load_opener(flow.world.platform.settings.keys, "notify")
    found = []
    for signed in flow.sent("notify.mail.send.v1"):
        command = SendMail.model_validate(Envelope.model_validate_json(signed.body).body)
        text = opener.open(command.sealed, mail_associated_data(TENANT, command.delivery))
        found.append(MAIL.validate_json(text))
    return [mail for mail in found if isinstance(mail, InvitationMail)]


async def refused(phone: SoftPhone, link: str) -> None:
    """Step 1."""
    with pytest.raises(PhoneError) as caught:
        await phone.enrol(link)
    assert (caught.value.status, caught.value.code) == (410, "invitation")


async def test_steps_1_to_4_an_expired_link_is_exchanged_for_one_that_works(flow: Flow) -> None:
    old, phone = await flow.invite(), await flow.bare_phone()
    flow.world.clock.advance(DAY + 1)
    await flow.world.current()
    await refused(phone, old)
    assert await phone.ask_for_new_link(old) == {}
    _, mail = mailed(flow)
    assert (mail.to, mail.another_phone) == ("Ada@private.example", False)
    await refused(phone, old)
    await phone.enrol(mail.link)
    await flow.world.settle()
    assert (await flow.account()).status == "active"


@pytest.mark.parametrize(
    "why", ["used", "suspended", "removed", "unknown", "no invitation at all", "asked too often"]
)
async def test_step_2_everybody_gets_the_same_answer(flow: Flow, why: str) -> None:
    link, phone = await flow.invite(), await flow.bare_phone()
    match why:
        case "used":
            await (await flow.bare_phone()).enrol(link)
        case "suspended":
            await admin.suspend(flow.admin, TENANT, ADA)
        case "removed":
            await admin.remove(flow.admin, TENANT, ADA)
        case "unknown":
            link = f"{flow.phone_origin}/#i={b64u(bytes(16))}.{b64u(bytes(32))}"
        case "no invitation at all":
            link = f"{flow.phone_origin}/#i=%00.x"
        case "asked too often":
            for _ in range(3):
                await phone.ask_for_new_link(link)
                flow.world.clock.advance(61)
                await flow.world.current()
    await flow.world.settle()
    before = len(mailed(flow))
    for _ in range(2):
        assert await phone.ask_for_new_link(link) == {}
    assert len(mailed(flow)) == before


async def test_step_3_the_link_in_the_mail_before_works_no_more(flow: Flow) -> None:
    first, phone = await flow.invite(), await flow.bare_phone()
    await phone.ask_for_new_link(first)
    await refused(phone, first)
    await phone.enrol(mailed(flow)[-1].link)
