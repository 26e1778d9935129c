"""The Overview: set-up path, what to look at, the chart and its tables; mails to administrators; a person's list."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bs4 import BeautifulSoup, Tag
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.admin import handlers
from services.admin.domain.alerts import EVERY, MAX_IN_A_MAIL, Alert, AlertMails, alerts_of_attempts
from services.admin.domain.configuration import Item
from services.admin.domain.roles import Role
from services.admin.domain.sign_ins import GROUPS, PERIODS, DayCounts, figures_of
from services.admin.domain.teams import Member
from services.admin.handlers.alerts import send_alerts
from services.admin.handlers.console_configuration import mark_item
from services.admin.pages.chart import HEIGHT, chart_of, scale_for
from shared.contracts.wsfed import (
    AttemptMethod,
    AttemptOutcome,
    DomainUsed,
    OutcomeCount,
    SignInAttempt,
    SignInsCounted,
    SignInsListed,
)
from tests.admin.conftest import CONTOSO, AdminSystem
from tests.admin.console import ConsoleBrowser, link_for, signed_in
from tests.admin.test_console_people import ACTOR
from tests.world import START

TODAY = START.date()


def a_count(outcome: AttemptOutcome, count: int, method: AttemptMethod = "blokkey_push") -> OutcomeCount:
    return OutcomeCount(method=method, outcome=outcome, count=count)


def on(days_ago: int, *counts: OutcomeCount) -> DayCounts:
    return DayCounts(TODAY - timedelta(days=days_ago), counts)


# figures and the chart


def test_the_period_ends_today_and_has_a_column_for_each_day() -> None:
    figures = figures_of(
        [on(0, a_count("signed_in", 3)), on(6, a_count("not_me", 1)), on(7, a_count("denied", 99))], TODAY, 7
    )
    assert [each.first for each in figures.columns] == [TODAY - timedelta(days=n) for n in range(6, -1, -1)]
    assert figures.totals == {"signed_in": 3, "unanswered": 0, "declined": 0, "not_me": 1}
    assert figures.total == 4


def test_ninety_days_are_shown_in_weeks_that_leave_no_day_out() -> None:
    figures = figures_of([on(n, a_count("signed_in", 1)) for n in range(120)], TODAY, 90)
    assert sum(each.total for each in figures.columns) == 90
    assert len(figures.columns) == 13
    for before, after in zip(figures.columns, figures.columns[1:], strict=False):
        assert after.first == before.last + timedelta(days=1)


def test_names_without_an_account_are_in_no_column() -> None:
    figures = figures_of([on(0, a_count("no_account", 5000), a_count("refused", 1))], TODAY, 7)
    assert (figures.total, figures.no_account) == (1, 5000)
    assert figures.methods == {"blokkey_push": {"signed_in": 0, "unanswered": 0, "declined": 1, "not_me": 0}}


def test_every_outcome_but_one_is_in_exactly_one_group() -> None:
    grouped = [outcome for outcomes in GROUPS.values() for outcome in outcomes]
    assert len(grouped) == len(set(grouped))
    assert {*grouped, "no_account"} == set(AttemptOutcome.__args__)  # type: ignore[attr-defined]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 89),
            st.sampled_from(["signed_in", "denied", "not_me", "unanswered", "refused"]),
            st.integers(1, 10**7),
        ),
        max_size=30,
    ),
    st.sampled_from(PERIODS),
)
def test_no_column_leaves_the_drawing_and_nothing_that_happened_is_invisible(
    made: list[tuple[int, Any, int]], days: int
) -> None:
    figures = figures_of([on(ago, a_count(outcome, count)) for ago, outcome, count in made], TODAY, days)
    chart = chart_of(figures)
    for each in chart.columns:
        assert {bar.group for bar in each.bars} == {g for g, count in each.column.groups.items() if count}
        for bar in each.bars:
            assert bar.height > 0
            assert 0 <= each.x < each.x + chart.bar <= chart.width
            assert -HEIGHT // 100 * len(GROUPS) <= bar.y <= bar.y + bar.height <= HEIGHT


@pytest.mark.parametrize(
    ("highest", "top"), [(0, 2), (2, 2), (3, 4), (5, 6), (9, 10), (11, 20), (41, 50), (230, 300), (401, 500)]
)
def test_the_scale_is_a_round_number_whose_half_is_whole(highest: int, top: int) -> None:
    assert scale_for(highest) == top


# the page


async def told(system: AdminSystem, *days: DayCounts) -> None:
    for number, day in enumerate(days, 1):
        said = SignInsCounted(version=number, day=day.day, counts=tuple(day.counts))
        await system.world.say("wsfed", said)
    await system.world.settle()


def stages(page: BeautifulSoup) -> dict[str, str]:
    """The stages of the set-up path with their states."""
    found = {}
    for each in page.select(".stage"):
        name, state = each.find("strong"), each.select_one(".state")
        assert name is not None
        assert state is not None
        found[name.get_text()] = state.get_text()
    return found


async def test_the_set_up_path_shows_where_the_tenant_stands_and_one_thing_to_do(system: AdminSystem) -> None:
    owner = await signed_in(system)
    page = await owner.get(f"/t/{CONTOSO}")
    assert page.status == 200
    shown = stages(page.soup)
    assert shown["Add the application"] == "To do"
    assert shown["Add your domain"] == "Done"
    assert shown["Federate the domain"] == "No request yet", "what Entra has set can't be seen from here"
    assert shown["First sign-in"] == "Not yet"
    assert "Besides the set-up, nothing needs your attention." in page.words
    assert shown["A second passkey for you"] == "To do"
    primary = [
        each
        for each in page.soup.select("main a.button")
        if "secondary" not in each["class"] and "quiet" not in each["class"]
    ]
    assert [each["href"] for each in primary] == [f"/t/{CONTOSO}/applications/new"]
    await handlers.add_application(system.deps, CONTOSO)
    await system.account()
    used = DomainUsed(version=1, domain="contoso.example", first_request_at=START, first_sign_in_at=START)
    await system.world.say("wsfed", used)
    await system.world.settle()
    shown = stages((await owner.get(f"/t/{CONTOSO}")).soup)
    for name in ("Add the application", "Add people", "Federate the domain", "First sign-in"):
        assert shown[name] == "Done"


async def test_all_steps_of_the_path_name_the_domain_that_has_come_furthest(system: AdminSystem) -> None:
    await handlers.add_domain(system.deps, CONTOSO, "labs.example")
    used = DomainUsed(version=1, domain="labs.example", first_request_at=START)
    await system.world.say("wsfed", used)
    await system.world.settle()
    page = await (await signed_in(system)).get(f"/t/{CONTOSO}")
    assert "labs.example is added." in page.words
    assert "Microsoft Entra sends the people of labs.example here." in page.words
    assert "contoso.example" not in page.soup.select_one(".path").get_text()  # type: ignore[union-attr]


async def test_a_path_that_is_complete_makes_way_for_the_figures(system: AdminSystem) -> None:
    owner = await signed_in(system)
    await signed_in(system, name="Otto Owner")
    await handlers.add_application(system.deps, CONTOSO)
    await system.account()
    used = DomainUsed(version=1, domain="contoso.example", first_request_at=START, first_sign_in_at=START)
    await system.world.say("wsfed", used)
    await system.world.settle()
    assert (await owner.get(f"/t/{CONTOSO}")).soup.find("h2").get_text() == "Set-up"  # type: ignore[union-attr]
    team = await system.deps.teams.get(CONTOSO)
    found = await system.deps.administrators.get(team.members[0].administrator)
    assert found is not None
    await mark_item(system.deps, ACTOR, Item.BREAK_GLASS.value, domains=frozenset())
    second = replace(found.passkeys[0], credential_id="B" * 22)
    await system.deps.administrators.change(found.id, lambda before: before.with_passkey(second))
    page = await owner.get(f"/t/{CONTOSO}")
    assert "Nothing needs your attention." in page.words
    assert [each.get_text() for each in page.soup.select("main h2")] == [
        "What to look at",
        "Sign-ins",
        "Set-up is complete",
    ]


async def test_the_chart_has_words_and_its_tables_the_same_figures(system: AdminSystem) -> None:
    owner = await signed_in(system)
    await told(
        system,
        on(0, a_count("signed_in", 40), a_count("signed_in", 2, "passkey"), a_count("not_me", 1)),
        on(40, a_count("unanswered", 7)),
    )
    soup = (await owner.get(f"/t/{CONTOSO}?days=7")).soup
    drawing = soup.find("svg", role="img")
    assert isinstance(drawing, Tag)
    assert drawing.find("title", id="chart-title") is not None
    described = drawing.find("desc", id="chart-text")
    assert described is not None
    assert "Signed in: 42." in described.get_text()
    assert not drawing.select("[style]")
    rows = {
        each.th.get_text(): [int(cell.get_text()) for cell in each.find_all("td")]
        for each in soup.select("table[aria-label], .list.numbers tbody tr")
        if each.th is not None
    }
    assert rows["Request on the phone"] == [40, 0, 0, 1]
    assert rows["Passkey"] == [2, 0, 0, 0]
    assert rows["2 Mar 2026"] == [42, 0, 0, 1]
    ninety = (await owner.get(f"/t/{CONTOSO}?days=90")).words
    assert "Unanswered 7" in ninety
    assert (await owner.get(f"/t/{CONTOSO}?days=8")).status == 400


async def test_a_newer_count_replaces_an_older_one_whatever_comes_late(system: AdminSystem) -> None:
    await system.world.say("wsfed", SignInsCounted(version=2, day=TODAY, counts=(a_count("signed_in", 5),)))
    await system.world.say("wsfed", SignInsCounted(version=1, day=TODAY, counts=(a_count("signed_in", 4),)))
    await system.world.settle()
    (day,) = await system.deps.sign_ins.days(CONTOSO, TODAY)
    assert [each.count for each in day.counts] == [5]


async def test_a_small_role_sees_the_page_without_what_it_may_not_do(system: AdminSystem) -> None:
    reader = await signed_in(system, Role.READ_ONLY, "Rita Reader")
    page = await reader.get(f"/t/{CONTOSO}")
    assert page.status == 200
    assert not {each for each in page.actions if each.endswith("/new")}
    said = [each.get_text() for each in page.soup.select(".stage > .muted")]
    assert said[:2] == ["For owners and administrators"] * 2, "the application and the first people"
    assert "For owners" in said, "a second owner"
    badge = await signed_in(system, Role.BADGE_DESK, "Berta Badge")
    assert "nothing to do here yet" in (await badge.get(f"/t/{CONTOSO}")).words


# a person's list


def an_attempt(outcome: AttemptOutcome, at: datetime, **more: Any) -> SignInAttempt:
    return SignInAttempt(
        at=at,
        method="blokkey_push",
        outcome=outcome,
        agent="<b>Edge</b>",
        application="Microsoft 365",
        **more,
    )


async def listed(
    system: AdminSystem, account: str, attempts: Sequence[SignInAttempt], version: int = 1
) -> None:
    await system.world.say("wsfed", SignInsListed(version=version, account=account, attempts=tuple(attempts)))
    await system.world.settle()


async def test_a_persons_page_lists_their_sign_ins(system: AdminSystem) -> None:
    ada = await system.account()
    owner = await signed_in(system)
    attempts = [an_attempt("signed_in", START - timedelta(days=n)) for n in range(12)]
    await listed(system, ada.id, [an_attempt("refused", START, reason="device_removed"), *attempts])
    page = await owner.get(f"/t/{CONTOSO}/people/{ada.id}")
    section = page.soup.find("section", attrs={"aria-labelledby": "sign-ins"})
    assert isinstance(section, Tag)
    assert len(section.select("tbody tr")) == 13
    assert "The phone was removed meanwhile." in section.get_text()
    assert "<b>Edge</b>" in section.get_text(), "as text"
    assert "Show 3 earlier ones" in section.get_text()


# alerts


def an_alert(number: int, tenant: str = CONTOSO, **changes: Any) -> Alert:
    made = Alert(
        id=f"{tenant}/not_me/ada/{number}",
        tenant=tenant,
        kind="not_me",
        at=START + timedelta(seconds=number),
        account="ada",
    )
    return replace(made, **changes)


async def with_owners(system: AdminSystem, *names: str, tenant: str = CONTOSO) -> None:
    members = tuple(
        Member(administrator=name, name=name, email=f"{name}@admins.example", role=Role.OWNER, since=START)
        for name in names
    )
    await system.deps.teams.change(
        tenant, lambda team: replace(team, members=members, version=team.version + 1)
    )


def sent(system: AdminSystem) -> list[dict[str, Any]]:
    return system.world.documents("admin", "alert_mails")


def test_only_what_is_recent_alarms() -> None:
    old, new = (an_attempt("not_me", START - timedelta(days=days)) for days in (8, 1))
    (alert,) = alerts_of_attempts(CONTOSO, "ada", [old, new, an_attempt("denied", START)], START)
    assert alert.at == new.at


def test_a_mail_that_lies_in_the_future_stops_nothing() -> None:
    mails = AlertMails(tenant=CONTOSO, sent_at=START + timedelta(days=300))
    assert mails.may_send(START)
    assert not replace(mails, sent_at=START - EVERY + timedelta(seconds=1)).may_send(START)


async def test_an_alert_is_mailed_once_and_then_at_most_hourly(stored: AdminSystem) -> None:
    now = stored.deps.clock.now()
    await with_owners(stored, "olga")
    assert await stored.deps.alerts.add(an_alert(1, at=now))
    assert not await stored.deps.alerts.add(an_alert(1, at=now))
    assert await send_alerts(stored.deps) == 1
    await stored.deps.alerts.add(an_alert(2, at=now))
    assert await send_alerts(stored.deps) == 0
    stored.world.clock.advance(EVERY.total_seconds())
    assert await send_alerts(stored.deps) == 1
    assert await send_alerts(stored.deps) == 0
    assert [each.mailed for each in await stored.deps.alerts.recent(CONTOSO, now, 10)] == [True, True]


async def test_a_tenant_that_waits_for_its_hour_keeps_no_other_from_its_mail(system: AdminSystem) -> None:
    await with_owners(system, "olga")
    await with_owners(system, "fred", tenant="fabrikam")
    await system.deps.alerts.add(an_alert(0))
    await send_alerts(system.deps)
    for number in range(1, 300):
        await system.deps.alerts.add(an_alert(number))
    await system.deps.alerts.add(an_alert(1, "fabrikam"))
    assert await send_alerts(system.deps) == 1
    assert await system.deps.alerts.next_tenant("contoso") is None


async def test_more_than_a_mail_counts_are_in_the_next_one(system: AdminSystem) -> None:
    await with_owners(system, "olga")
    for number in range(MAX_IN_A_MAIL + 30):
        await system.deps.alerts.add(an_alert(number))
    await send_alerts(system.deps)
    assert len(await system.deps.alerts.unmailed(CONTOSO, 1000)) == 30
    system.world.clock.advance(EVERY.total_seconds())
    await send_alerts(system.deps)
    assert not await system.deps.alerts.unmailed(CONTOSO, 1000)


async def test_a_process_killed_after_the_mail_sends_it_no_second_time(
    system: AdminSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    await with_owners(system, "olga")
    await system.deps.alerts.add(an_alert(1))
    marks = system.deps.alerts.mark_mailed

    async def killed(alerts: Sequence[str]) -> None:
        if alerts:
            raise RuntimeError
        await marks(alerts)

    with monkeypatch.context() as patch:
        patch.setattr(system.deps.alerts, "mark_mailed", killed)
        with pytest.raises(RuntimeError):
            await send_alerts(system.deps)
    system.world.clock.advance(EVERY.total_seconds())
    assert await send_alerts(system.deps) == 0
    assert not await system.deps.alerts.unmailed(CONTOSO, 10)


async def test_mails_follow_the_language_in_which_an_administrator_signed_in_last(
    system: AdminSystem,
) -> None:
    browser = ConsoleBrowser(system, lang="fr")
    await browser.join((await link_for(system)).url)
    (member,) = (await system.deps.teams.get(CONTOSO)).members
    assert await system.deps.language_of(member) == "fr"
    browser.lang = "en"
    browser.cookies.clear()
    await browser.sign_in()
    assert await system.deps.language_of(member) == "en"


async def test_a_tenant_without_administrators_piles_nothing_up(system: AdminSystem) -> None:
    await system.deps.alerts.add(an_alert(1))
    await send_alerts(system.deps)
    assert await system.deps.alerts.next_tenant("") is None


async def test_alerts_are_on_the_overview(system: AdminSystem) -> None:
    ada = await system.account()
    owner = await signed_in(system)
    await system.deps.alerts.add(
        an_alert(1, id="x", kind="device_refused", account=ada.id, detail="Pixel 9", reason="used")
    )
    page = await owner.get(f"/t/{CONTOSO}")
    assert "Phone refused" in page.words
    assert "Pixel 9" in page.words
    assert f"/t/{CONTOSO}/people/{ada.id}" in page.actions


@pytest.mark.parametrize(
    ("agent", "french"),
    [
        ("Chrome on Linux", "Chrome sous Linux"),
        ("Safari on iPhone", "Safari sur iPhone"),
        ("Unknown browser on Mac", "Navigateur inconnu sur Mac"),
        ("Firefox", "Firefox"),
        ("<b>Edge</b>", "<b>Edge</b>"),
    ],
)
async def test_browsers_are_named_in_the_readers_language(
    system: AdminSystem, agent: str, french: str
) -> None:
    ada = await system.account()
    await listed(system, ada.id, [an_attempt("not_me", START).model_copy(update={"agent": agent})])
    owner = await signed_in(system)
    path = f"/t/{CONTOSO}/people/{ada.id}"
    assert agent in (await owner.get(path)).words
    owner.lang = "fr"
    assert french in (await owner.get(path)).words


def test_an_attempt_without_a_time_zone_is_no_message() -> None:
    said = {"at": "2026-11-27T09:00:00", "method": "passkey", "outcome": "not_me"}
    with pytest.raises(ValidationError):
        SignInAttempt.model_validate(said)
    assert SignInAttempt.model_validate({**said, "at": "2026-11-27T09:00:00Z"}).outcome == "not_me"


@pytest.mark.parametrize("year", [1, 2200, 9999])
async def test_an_alert_from_another_age_is_none(system: AdminSystem, year: int) -> None:
    ada = await system.account()
    at = datetime(year, 12, 31, 23, 59, tzinfo=UTC)
    said = SignInsListed(
        version=1,
        account=ada.id,
        attempts=(SignInAttempt(at=at, method="passkey", outcome="not_me"),),
    )
    await system.world.bus.publish([system.world.signer("wsfed").sign(said, tenant=CONTOSO)])
    await system.world.settle()
    owner = await signed_in(system)
    assert (await owner.get(f"/t/{CONTOSO}")).status == 200
    assert (await owner.get(f"/t/{CONTOSO}/people/{ada.id}")).status == 200
    assert await system.deps.alerts.recent(CONTOSO, START - timedelta(days=30), 5) == []
    assert len(await system.deps.sign_ins.of(CONTOSO, ada.id)) == 1
