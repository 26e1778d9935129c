"""docs/flows/change-details.md: names and address are corrected, and the link at the address of before is worthless.

The numbers in comments are the steps of that page.
"""

import pytest

from deploy.standins.phone.phone import PhoneError
from services.admin import handlers as admin
from services.admin.domain.accounts import Account
from services.admin.handlers import Details
from shared.contracts.admin import ContactChanged, ProfileChanged
from shared.errors import BadInput, Conflict, NotFound
from tests.flows.support import ADA, TENANT, Flow
from tests.flows.test_sign_out_everywhere import answered_from_session, sign_in

RIGHT = "ada@home.example"


async def changed(flow: Flow, **details: str) -> admin.DetailsChanged:
    found = await admin.change_details(flow.admin, TENANT, ADA, Details(**details))
    await flow.world.settle()
    return found


def told(flow: Flow) -> tuple[int, int]:
    """How many contacts and profiles were sent so far."""
    return len(flow.sent(ContactChanged.TYPE)), len(flow.sent(ProfileChanged.TYPE))


async def test_a_link_at_the_wrong_address_is_worthless_and_the_new_one_works(flow: Flow) -> None:
    wrong = await flow.invite()
    done = await changed(flow, email=RIGHT)  # 1, 2
    assert (done.withdrawn, done.after.email) == (True, RIGHT)
    with pytest.raises(PhoneError):
        await (await flow.bare_phone()).enrol(wrong)
    phone = await flow.phone()  # 4
    assert await flow.counts(phone.key)


async def test_the_wrong_link_is_worthless_even_if_admin_is_killed_before_it_is_withdrawn(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def killed(*_: object) -> bool:
        raise KeyboardInterrupt

    wrong = await flow.invite()
    monkeypatch.setattr("services.admin.handlers.accounts.withdraw_open", killed)
    with pytest.raises(KeyboardInterrupt):
        await changed(flow, email=RIGHT)
    await flow.world.settle()
    with pytest.raises(PhoneError):
        await (await flow.bare_phone()).enrol(wrong)


async def test_whoever_has_a_phone_stays_signed_in_and_an_invitation_is_withdrawn(flow: Flow) -> None:
    phone = await flow.phone()
    browser = (await sign_in(flow, phone)).browser
    further = await flow.invite()
    done = await changed(flow, email=RIGHT)
    assert done.withdrawn
    assert await answered_from_session(flow, browser)
    assert await flow.counts(phone.key)
    with pytest.raises(PhoneError):
        await (await flow.bare_phone()).enrol(further)


async def test_names_alone_withdraw_nothing_and_each_service_hears_what_concerns_it(flow: Flow) -> None:
    link = await flow.invite()
    contacts, profiles = told(flow)
    done = await changed(flow, last_name="King")
    assert (done.withdrawn, done.after.display_name) == (False, f"{done.after.first_name} King")
    assert told(flow) == (contacts + 1, profiles + 1)  # 3
    await changed(flow, email=RIGHT)
    assert told(flow) == (contacts + 2, profiles + 1)
    await changed(flow, email=RIGHT)  # the same again: nothing is written
    assert told(flow) == (contacts + 2, profiles + 1)
    assert RIGHT not in repr(flow.world.bus.sent)
    with pytest.raises(PhoneError):
        await (await flow.bare_phone()).enrol(link)


async def test_a_display_name_of_its_own_stays_until_it_is_taken_back(flow: Flow) -> None:
    await changed(flow, display_name="Countess of Lovelace")
    done = await changed(flow, last_name="King")
    assert done.after.display_name == "Countess of Lovelace"
    done = await changed(flow, display_name="")
    assert done.after.display_name == f"{done.after.first_name} King"


async def test_an_invitation_at_the_same_moment_does_not_outlive_the_change(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The account was read for the invitation, then its address changes, and then the invitation is kept."""
    await flow.phone()  # so that no session epoch helps
    stale = await flow.account()
    await changed(flow, email=RIGHT)

    async def read_before(*_: object) -> Account:
        return stale

    monkeypatch.setattr("services.admin.handlers.invitations.show_account", read_before)
    with pytest.raises(Conflict) as told_so:
        await flow.invite()
    assert told_so.value.id == "admin.account.changed"
    assert await flow.admin.invitations.open_of(TENANT, stale.id) is None


async def test_of_two_at_once_the_second_is_told(flow: Flow) -> None:
    account = await flow.account()
    seen = account.version
    await admin.change_details(flow.admin, TENANT, ADA, Details(last_name="King"), expected_version=seen)
    with pytest.raises(Conflict) as told_so:
        await admin.change_details(flow.admin, TENANT, ADA, Details(last_name="Byron"), expected_version=seen)
    assert told_so.value.id == "admin.account.changed"
    assert (await flow.account()).last_name == "King"


@pytest.mark.parametrize(
    "wrong",
    [
        Details(first_name=" "),
        Details(last_name="x" * 65),
        Details(email="home"),
        Details(email="ada@home"),
        Details(email="ada@@home.example"),
        Details(display_name="Ada\u202eLovelace"),
    ],
)
async def test_what_no_account_may_have_is_refused_and_changes_nothing(flow: Flow, wrong: Details) -> None:
    before = await flow.account()
    with pytest.raises(BadInput):
        await admin.change_details(flow.admin, TENANT, ADA, wrong)
    assert await flow.account() == before


async def test_a_removed_person_and_one_of_nowhere_are_refused(flow: Flow) -> None:
    await admin.remove(flow.admin, TENANT, ADA)
    with pytest.raises(Conflict):
        await changed(flow, email=RIGHT)
    with pytest.raises(NotFound):
        await admin.change_details(flow.admin, TENANT, "nobody@contoso.example", Details(email=RIGHT))
