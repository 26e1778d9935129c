"""docs/flows/removal.md: a removal can be undone for 30 days, and what gave access does not come back.

The numbers in comments are the steps of that page.
"""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from deploy.standins.phone.phone import PhoneError, SoftPhone
from services.admin import handlers as admin
from services.admin.domain.accounts import UNDO
from services.admin.handlers import NewAccount
from services.admin.handlers.removals import FINISH_BATCH
from shared.contracts.admin import AccountStatus
from shared.errors import BadInput, Conflict
from tests.flows.support import ADA, BOB, TENANT, Flow, said_active_again
from tests.flows.test_sign_out_everywhere import answered_from_session, sign_in


async def removed(flow: Flow) -> None:
    await admin.remove(flow.admin, TENANT, ADA)
    await flow.world.settle()


async def restored(flow: Flow) -> None:
    await admin.restore(flow.admin, TENANT, ADA)
    await flow.world.settle()


def pass_time(flow: Flow, time: timedelta) -> None:
    flow.world.clock.advance(time.total_seconds())


async def assert_out_of_use(flow: Flow, phone: SoftPhone) -> None:
    assert not await flow.counts(phone.key)
    assert await flow.decision(phone.key.device, phone.key.account) == ("revoked", "account_removed")
    with pytest.raises(PhoneError):
        await phone.list()


async def test_a_restored_person_is_invited_anew_and_nothing_of_before_counts(flow: Flow) -> None:
    phone = await flow.phone()
    browser = (await sign_in(flow, phone)).browser
    before = await flow.account()
    old_link = await flow.invite()
    await removed(flow)  # 1 to 3
    await assert_out_of_use(flow, phone)
    await restored(flow)  # 5
    after = await flow.account()
    assert (after.id, after.immutable_id) == (before.id, before.immutable_id)
    assert (after.status, after.enrolled) == (AccountStatus.INVITED, False)
    assert not await answered_from_session(flow, browser)
    await assert_out_of_use(flow, phone)
    with pytest.raises(PhoneError):
        await (await flow.bare_phone()).enrol(old_link)
    new = await flow.phone()  # 6
    signed_in = await flow.begin()
    await new.approve(await signed_in.push())
    user = await flow.entra.verify(await signed_in.take(), signed_in.pending)
    assert user.immutable_id == before.immutable_id


async def test_the_user_name_stays_taken_for_creating_and_renaming(flow: Flow) -> None:
    await removed(flow)
    bob = await flow.person(BOB)
    new = NewAccount(ADA, "Ada", "Other", "other@home.example")
    for attempt in (
        admin.create_account(flow.admin, TENANT, new),
        admin.rename(flow.admin, TENANT, bob.id, ADA),
    ):  # 4
        with pytest.raises(Conflict) as taken:
            await attempt
        assert taken.value.id == "admin.account.removed_holds"
    assert await admin.create_accounts(flow.admin, TENANT, [new]) == 1  # tried, and left as it is
    assert (await flow.account()).status is AccountStatus.REMOVED
    await restored(flow)
    assert (await flow.account()).display_name != "Ada Other"


async def test_undone_twice_or_removed_twice_the_second_is_told(flow: Flow) -> None:
    await removed(flow)
    with pytest.raises(Conflict):
        await admin.remove(flow.admin, TENANT, ADA)
    await restored(flow)
    with pytest.raises(Conflict) as twice:
        await admin.restore(flow.admin, TENANT, ADA)
    assert twice.value.id == "admin.account.wrong_status"


async def test_of_two_administrators_who_undo_at_once_one_does_it(flow: Flow) -> None:
    await removed(flow)
    results = await asyncio.gather(
        *(admin.restore(flow.admin, TENANT, ADA) for _ in range(4)), return_exceptions=True
    )
    assert sorted(isinstance(result, Conflict) for result in results) == [False, True, True, True]


async def test_after_30_days_it_is_final_whether_the_sweep_has_run_or_not(flow: Flow) -> None:
    phone = await flow.phone()
    account = await flow.account()
    await removed(flow)
    pass_time(flow, UNDO - timedelta(seconds=1))
    assert await admin.finish_removals(flow.admin) == 0
    pass_time(flow, timedelta(seconds=1))
    with pytest.raises(Conflict) as late:
        await admin.restore(flow.admin, TENANT, ADA)
    assert late.value.id == "admin.account.removed_for_good"
    found = await asyncio.gather(
        *(admin.finish_removals(flow.admin) for _ in range(3))
    )  # 7, on three replicas
    assert found[0] == 1
    with pytest.raises(Conflict) as later:
        await admin.restore(flow.admin, TENANT, account.id)
    assert later.value.id == "admin.account.removed_for_good"
    await flow.world.settle()
    kept = await flow.admin.accounts.get(TENANT, account.id)
    assert kept is not None
    assert kept.version == account.version + 2  # one replica wrote, and only once
    assert (kept.id, kept.immutable_id, kept.session_epoch) == (account.id, account.immutable_id, 1)
    await assert_out_of_use(flow, phone)


async def test_nothing_that_says_who_it_was_is_left_in_admin_or_wsfed(flow: Flow) -> None:
    await flow.phone()
    account = await flow.account()
    await removed(flow)
    pass_time(flow, UNDO)
    await admin.finish_removals(flow.admin)
    await flow.world.settle()
    kept = [*flow.world.documents("admin", "accounts"), *flow.world.documents("wsfed", "accounts")]
    assert account.immutable_id in str(kept)
    for personal in (account.upn, account.email, account.display_name, account.last_name):
        assert personal not in str(kept)


async def test_a_suspended_person_comes_back_suspended(flow: Flow) -> None:
    await flow.phone()
    await admin.suspend(flow.admin, TENANT, ADA)
    await removed(flow)
    await restored(flow)
    assert (await flow.account()).status is AccountStatus.SUSPENDED
    assert (await admin.resume(flow.admin, TENANT, ADA)).status is AccountStatus.INVITED


async def test_late_news_of_the_old_phone_make_nobody_active(flow: Flow) -> None:
    phone = await flow.phone()
    late = said_active_again(flow, phone)
    await removed(flow)
    await restored(flow)
    for version in (late.version, late.version + 5):
        await flow.say("approval", late.model_copy(update={"version": version}))
    await flow.world.settle()
    assert (await flow.account()).status is AccountStatus.INVITED
    await assert_out_of_use(flow, phone)


async def test_late_news_of_a_phone_that_was_lost_before_the_removal_make_nobody_active(flow: Flow) -> None:
    phone = await flow.phone()
    late = said_active_again(flow, phone)
    await admin.remove_device(flow.admin, TENANT, ADA, phone.key.device)
    await removed(flow)
    await restored(flow)
    for version in (late.version, late.version + 5):
        await flow.say("approval", late.model_copy(update={"version": version}))
    await flow.world.settle()
    account = await flow.account()
    assert (account.status, account.enrolled) == (AccountStatus.INVITED, False)
    new = await flow.phone()
    assert await flow.counts(new.key)
    assert (await flow.account()).status is AccountStatus.ACTIVE


async def test_the_old_key_is_dead_under_another_id_too(flow: Flow) -> None:
    phone = await flow.phone()
    said = said_active_again(flow, phone)
    await removed(flow)
    await restored(flow)
    await flow.say("approval", said.model_copy(update={"device": "another"}))
    await flow.world.settle()
    assert not await flow.counts(replace(phone.key, device="another"))
    assert (await flow.account()).status is AccountStatus.INVITED


async def test_phones_that_a_killed_removal_left_are_revoked_before_the_account_lives(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = await flow.phone()

    async def killed(*_: object) -> None:
        raise RuntimeError("killed")

    monkeypatch.setattr("services.admin.handlers.removals.withdraw_open", killed)
    with pytest.raises(RuntimeError):
        await admin.remove(flow.admin, TENANT, ADA)
    monkeypatch.undo()
    await flow.world.settle()
    assert await flow.decision(phone.key.device) == ("trusted", "")
    await restored(flow)
    await assert_out_of_use(flow, phone)


async def test_an_undo_that_was_held_up_leaves_a_new_phone_alone(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    await flow.phone()
    await removed(flow)
    devices_of = flow.admin.authenticators.of
    new: SoftPhone | None = None

    async def slow(tenant: str, account: str) -> object:
        nonlocal new
        found = await devices_of(tenant, account)
        monkeypatch.undo()
        await restored(flow)
        new = await flow.phone()
        return found

    monkeypatch.setattr(flow.admin.authenticators, "of", slow)
    with pytest.raises(Conflict):
        await admin.restore(flow.admin, TENANT, ADA)
    await flow.world.settle()
    assert new is not None
    assert await flow.counts(new.key)


async def test_a_person_of_a_domain_that_is_gone_is_not_restored(flow: Flow) -> None:
    await removed(flow)
    await flow.admin.tenants.change(
        TENANT, lambda tenant: replace(tenant, domains=(), version=tenant.version + 1)
    )
    with pytest.raises(BadInput):
        await admin.restore(flow.admin, TENANT, ADA)


async def test_more_removals_than_fit_into_one_batch_all_become_final(flow: Flow) -> None:
    names = [f"p{number:03}@contoso.example" for number in range(FINISH_BATCH + 3)]
    for name in names:
        await flow.person(name)
        await admin.remove(flow.admin, TENANT, name)
    pass_time(flow, UNDO)
    assert await admin.finish_removals(flow.admin) == FINISH_BATCH
    assert await admin.finish_removals(flow.admin) == 3
    assert await admin.finish_removals(flow.admin) == 0
