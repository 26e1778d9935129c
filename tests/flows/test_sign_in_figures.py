"""docs/flows/sign-in-figures.md, with its numbers: from the sign-ins themselves to what an administrator is told."""

from collections.abc import Sequence
from dataclasses import replace

from services.admin.domain.administrators import Administrator
from services.admin.domain.alerts import EVERY
from services.admin.domain.roles import Role
from services.admin.domain.teams import Member
from services.admin.handlers.alerts import send_alerts
from services.wsfed import app as wsfed_app
from services.wsfed.domain.sign_in_figures import COUNTED_AFTER
from services.wsfed.domain.transaction import CHALLENGE_LIFETIME, LIFETIME
from services.wsfed.handlers.sign_in_figures import count_sign_ins
from shared.contracts.wsfed import SignInAttempt
from tests.flows.post import Post
from tests.flows.support import ADA, TENANT, Flow, known_browser


async def count(flow: Flow) -> None:
    """Steps 2 to 5, as another replica of wsfed does them every two seconds."""
    world = flow.world
    world.kept["wsfed"] = world.databases["wsfed"].data
    wired = wsfed_app.build(world.platform)
    while await count_sign_ins(wired.dependencies):
        pass
    await wired.service.relay.flush()
    await world.settle()


async def counts(flow: Flow) -> dict[str, int]:
    """What admin knows of all days."""
    found: dict[str, int] = {}
    for row in flow.world.documents("admin", "sign_in_days"):
        for each in row["counts"]:
            key = f"{each['method']}/{each['outcome']}"
            found[key] = found.get(key, 0) + each["count"]
    return found


async def listed(flow: Flow, upn: str = ADA) -> Sequence[SignInAttempt]:
    return await flow.admin.sign_ins.of(TENANT, (await flow.account(upn)).id)


async def become_owner(flow: Flow, name: str, role: Role = Role.OWNER) -> None:
    member = Member(
        administrator=name,
        name=name.title(),
        email=f"{name}@admins.example",
        role=role,
        since=flow.world.clock.now(),
    )
    await flow.admin.teams.change(
        TENANT, lambda team: replace(team, members=(*team.members, member), version=team.version + 1)
    )


async def test_1_to_6_each_end_of_a_sign_in_is_counted_and_listed(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await known_browser(flow, phone)  # signed in by push once
    await sign_in.push()
    await phone.deny()
    sign_in = await flow.begin()
    code = await sign_in.push()
    await phone.approve(code)
    await sign_in.take()
    await count(flow)
    assert await counts(flow) == {"blokkey_push/signed_in": 2, "blokkey_push/denied": 1}
    said = await listed(flow)
    assert sorted(each.outcome for each in said) == ["denied", "signed_in", "signed_in"]
    assert {each.application for each in said} == {"Microsoft 365"}
    assert {each.method for each in said} == {"blokkey_push"}
    await count(flow)
    assert sum((await counts(flow)).values()) == 3


async def test_1_a_request_that_nobody_answers_is_counted_in_the_end(flow: Flow) -> None:
    await flow.phone()
    sign_in = await flow.begin()
    await sign_in.push()
    flow.world.clock.advance(CHALLENGE_LIFETIME.total_seconds() + 1)
    await sign_in.push()  # another one in its place
    await count(flow)
    assert await counts(flow) == {"blokkey_push/unanswered": 1}
    flow.world.clock.advance((LIFETIME + COUNTED_AFTER).total_seconds())
    await count(flow)
    assert await counts(flow) == {"blokkey_push/unanswered": 2}
    assert [each.outcome for each in await listed(flow)] == ["unanswered", "unanswered"]


async def test_1_names_without_an_account_are_one_number(flow: Flow) -> None:
    for name in ("nobody", "noone"):
        sign_in = await flow.begin(f"{name}@contoso.example")
        await sign_in.push()
    flow.world.clock.advance((LIFETIME + COUNTED_AFTER).total_seconds())
    await count(flow)
    assert await counts(flow) == {"blokkey_push/no_account": 2}
    assert flow.world.documents("admin", "sign_ins") == []
    assert flow.world.documents("wsfed", "sign_ins") == []


async def test_1_a_proof_that_is_not_enough_is_counted_as_refused(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    await phone.approve(await sign_in.push())
    await flow.policy(sign_in="passkeys_only")
    for _ in range(2):  # the page asks twice; it is one refusal
        assert "wresult" not in (await sign_in.token()).text
    await count(flow)
    assert await counts(flow) == {"blokkey_push/refused": 1}
    assert [each.reason for each in await listed(flow)] == ["passkey_needed"]


async def test_7_this_is_not_me_is_mailed_to_owners_and_administrators_once(post: Post) -> None:
    flow = post.flow
    for name, role in (("olga", Role.OWNER), ("adam", Role.ADMINISTRATOR), ("hanna", Role.HELP_DESK)):
        await become_owner(flow, name, role)
    phone = await flow.phone()
    sign_in = await known_browser(flow, phone)
    await sign_in.push()
    await phone.not_me()
    for _ in range(2):
        await count(flow)
        await send_alerts(flow.admin)
        await post.settle()
    mails = post.mails("alerts")
    assert sorted(str(mail["To"]) for mail in mails) == [
        "Adam <adam@admins.example>",
        "Olga <olga@admins.example>",
    ]
    text = mails[0].get_body(("plain",))
    assert text is not None
    assert ADA in text.get_content()
    assert f"{flow.admin.console_origin}/t/{TENANT}" in text.get_content()


async def test_7_what_comes_within_the_hour_is_in_the_next_mail(post: Post) -> None:
    flow = post.flow
    await become_owner(flow, "olga")
    phone = await flow.phone()

    async def not_me() -> None:
        sign_in = await flow.begin()
        await sign_in.qr()
        await phone.not_me(await phone.scan(sign_in.qr_text))
        await count(flow)
        await send_alerts(flow.admin)
        await post.settle()

    for _ in range(3):
        flow.world.clock.advance(61)
        await not_me()
    assert len(post.mails("alerts")) == 1
    flow.world.clock.advance(EVERY.total_seconds())
    await send_alerts(flow.admin)
    await post.settle()
    assert len(post.mails("alerts")) == 2
    later = post.mails("alerts")[1].get_body(("plain",))
    assert later is not None
    assert "2 times" in later.get_content()
    flow.world.clock.advance(EVERY.total_seconds())
    assert await send_alerts(flow.admin) == 0


async def test_7_each_administrator_is_written_to_in_their_own_language(post: Post) -> None:
    flow = post.flow
    for name, language in (("olga", "fr"), ("otto", None)):
        await become_owner(flow, name)
        await flow.admin.administrators.add(
            Administrator(
                id=name,
                name=name.title(),
                email=f"{name}@admins.example",
                passkeys=(),
                created_at=flow.world.clock.now(),
            ).reading(language)  # type: ignore[arg-type]
        )
    phone = await flow.phone()
    sign_in = await known_browser(flow, phone)
    await sign_in.push()
    await phone.not_me()
    await count(flow)
    await send_alerts(flow.admin)
    await post.settle()
    subjects = {str(mail["To"]): str(mail["Subject"]) for mail in post.mails("alerts")}
    assert subjects == {
        "Olga <olga@admins.example>": "Contoso\u00a0: connexions à vérifier",
        "Otto <otto@admins.example>": "Contoso: please check these sign-ins",
    }


async def test_5_a_restored_or_repeated_list_alarms_nobody_again(post: Post) -> None:
    flow = post.flow
    await become_owner(flow, "olga")
    phone = await flow.phone()
    sign_in = await known_browser(flow, phone)
    await sign_in.push()
    await phone.not_me()
    await count(flow)
    await send_alerts(flow.admin)
    flow.world.clock.advance(EVERY.total_seconds())
    await flow.world.live(30)
    assert await send_alerts(flow.admin) == 0
    await post.settle()
    assert len(post.mails("alerts")) == 1
