"""The pure rules: states, steps, answers, names, pace."""

import itertools
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.provisioning.domain import requests
from services.provisioning.domain.answers import RULES, Meaning, SignInFailed, Verdict, meaning
from services.provisioning.domain.pace import Pace, paced
from services.provisioning.domain.person import (
    TRANSITIONS,
    Fault,
    IllegalMove,
    Move,
    Person,
    State,
    advanced,
    asked_again,
    begun,
    claimed,
    finished,
    postponed,
    released,
    sessions_ended,
    stopped,
    touched,
    wait_after,
)
from services.provisioning.domain.probes import PROBES
from services.provisioning.domain.requests import GraphAnswer
from services.provisioning.domain.steps import (
    STEPS,
    Finding,
    NotOurs,
    Step,
    User,
    found,
    linked,
    next_step,
    precheck,
    succeeded,
)
from services.provisioning.domain.wanted import (
    Account,
    Facts,
    Policy,
    Presence,
    Profile,
    Wanted,
    mail_nickname,
    name_fault,
    wanted,
)
from shared.contracts.admin import AccountStatus
from shared.directory import FaultKey, explanation, permission_cost
from tests.provisioning.support import refusal

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
FACTS = Facts("ada@contoso.example", "Ada Lovelace", "Ada", "Lovelace", "FR", enabled=True)
SKU = "66b55226-6b4f-492c-910c-a3b7a3c9d993"


def person(**changes: Any) -> Person:
    job = touched(begun("contoso", "ada", NOW), 1, 1, NOW)
    assert job is not None
    return replace(job, **changes)


def working(**changes: Any) -> Person:
    return replace(claimed(person(), NOW, creating=True), **changes)


def live(**changes: Any) -> Person:
    return working(**({"object_id": "o", "applied": FACTS, "sure": True, "linked_at": NOW} | changes))


def want(presence: Presence = Presence.PRESENT, epoch: int = 0, **changes: Any) -> Wanted:
    return Wanted(presence, "id-ada", replace(FACTS, **changes), epoch)


FAULT = Fault(FaultKey.REFUSED, NOW)

# --- states -------------------------------------------------------------------------------------------------

MOVES: dict[Move, Any] = {
    Move.TOUCH: lambda p: touched(p, 10**9, 1, NOW),
    Move.CLAIM: lambda p: claimed(p, NOW, creating=False),
    Move.ADVANCE: lambda p: advanced(p, NOW, "r"),
    Move.POSTPONE: lambda p: postponed(p, FAULT, timedelta(seconds=2), NOW, "create"),
    Move.RELEASE: lambda p: released(p, NOW),
    Move.FINISH: lambda p: finished(p, NOW),
    Move.STOP: lambda p: stopped(p, FAULT, NOW, "create"),
    Move.RETRY: lambda p: asked_again(p, NOW),
}


@pytest.mark.parametrize(("state", "move"), list(itertools.product(State, Move)))
def test_the_table_is_the_enforcement(state: State, move: Move) -> None:
    before = person(state=state)
    if (state, move) in TRANSITIONS:
        assert MOVES[move](before).state is TRANSITIONS[state, move]
    else:
        with pytest.raises(IllegalMove):
            MOVES[move](before)


def test_every_state_can_be_reached_and_left() -> None:
    assert {after for _, after in TRANSITIONS.items()} == set(State)
    assert {before for before, _ in TRANSITIONS} == set(State)


@given(st.lists(st.sampled_from(list(Move)), max_size=30))
def test_whatever_happens_what_is_told_counts_up_and_says_how_it_stands(moves: list[Move]) -> None:
    job = person()
    for move in moves:
        if (job.state, move) not in TRANSITIONS:
            continue
        if move is Move.TOUCH:
            job = replace(job, seen_account=1)
        after = MOVES[move](job)
        assert after.told.version in (job.told.version, job.told.version + 1)
        assert after.claims >= job.claims
        job = after
        if not job.open:  # what is over is told as it is
            assert job.told.state is job.state
    assert job.event().version == job.told.version


def test_older_news_touch_nothing() -> None:
    job = finished(working(), NOW)
    assert touched(job, 1, 1, NOW) is None
    assert touched(job, 2, 0, NOW) is not None


def test_news_during_a_step_leave_the_lease_alone() -> None:
    job = working()
    changed = touched(job, 2, 1, NOW + timedelta(seconds=5), urgent=True)
    assert changed is not None
    assert (changed.next_at, changed.claims, changed.urgent) == (job.next_at, job.claims, True)


def test_the_first_attempt_is_told_to_nobody_and_the_second_is() -> None:
    wait = timedelta(seconds=2)
    first = postponed(working(), FAULT, wait, NOW, "create")
    assert first.told.state is State.WAITING
    again = postponed(claimed(first, NOW, creating=True), FAULT, wait, NOW, "create")
    assert (again.told.state, again.told.fault, again.told.version) == (State.WORKING, FAULT, 2)
    third = postponed(claimed(again, NOW, creating=True), FAULT, wait, NOW, "create")
    assert third.told.version == 2


def test_a_phone_that_ends_without_a_user_is_dealt_with_for_good() -> None:
    job = finished(person(state=State.WORKING), NOW)
    dealt = sessions_ended(job, "phone", NOW)
    assert dealt is not None
    assert (dealt.to_revoke, dealt.revoked, dealt.state) == ((), ("phone",), State.DONE)
    assert sessions_ended(dealt, "phone", NOW) is None


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 2), (2, 4), (5, 32), (9, 512), (10, 900), (10**6, 900)])
def test_waits_double_up_to_a_quarter_of_an_hour(attempt: int, seconds: int) -> None:
    assert wait_after(attempt, None, 0.5) == timedelta(seconds=seconds)
    assert wait_after(attempt, None, 0.0) == timedelta(seconds=seconds) / 2


@given(st.floats(0, 0.999), st.integers(0, 3600))
def test_what_microsoft_asks_for_is_never_shortened(fraction: float, seconds: int) -> None:
    asked = timedelta(seconds=seconds)
    assert asked <= wait_after(1, asked, fraction) <= asked * 1.1


# --- how it is to be ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "policy", "presence", "enabled"),
    [
        (AccountStatus.INVITED, Policy(), Presence.PRESENT, True),
        (AccountStatus.ACTIVE, Policy(), Presence.PRESENT, True),
        (AccountStatus.SUSPENDED, Policy(), Presence.KEPT, False),
        (AccountStatus.SUSPENDED, Policy(when_suspended="keep"), Presence.KEPT, True),
        (AccountStatus.REMOVED, Policy(), Presence.ABSENT, False),
        (AccountStatus.REMOVED, Policy(when_removed="disable"), Presence.KEPT, False),
        (AccountStatus.REMOVED, Policy(when_removed="keep"), Presence.LEFT, False),
    ],
)
def test_how_a_user_is_to_be(
    status: AccountStatus, policy: Policy, presence: Presence, enabled: bool
) -> None:
    account = Account("contoso", "ada", FACTS.upn, FACTS.display_name, "id-ada", status, 3, 1)
    made = wanted(account, Profile("Ada", "Lovelace", "FR", (SKU, SKU), 1), policy)
    assert (made.presence, made.facts.enabled, made.epoch) == (presence, enabled, 3)
    assert made.facts.licences == (SKU,)


@pytest.mark.parametrize(
    "upn",
    ["ada@contoso.example", "o'hara@contoso.example", "a#b@contoso.example", "x^y~z!@contoso.example",
     "a.b-c_d@contoso.example", "A" * 64 + "@" + "b" * 40 + ".example"],
)  # fmt: skip
def test_user_names_that_entra_takes(upn: str) -> None:
    assert name_fault(upn) is None
    assert mail_nickname(upn) == upn.partition("@")[0]
    assert not set(mail_nickname(upn)) & set('@()\\[]";:<>, ')


@pytest.mark.parametrize(
    "upn",
    ["", "ada", "@contoso.example", "$ada@contoso.example", "a b@contoso.example", "ä@contoso.example",
     ".a@contoso.example", "a.@contoso.example", "a..b@contoso.example", "a" * 65 + "@contoso.example",
     "a" * 64 + "@" + "b" * 41 + ".example", "a@b@contoso.example", "a/b@contoso.example", "a\n@contoso.example"],
)  # fmt: skip
def test_user_names_that_it_refuses(upn: str) -> None:
    assert name_fault(upn) is FaultKey.NAME_REFUSED


# --- the next step ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("job", "goal", "step"),
    [
        (working(), want(), Step.FIND),
        (working(sure=True), want(), Step.CREATE),
        (live(), want(), None),
        (live(sure=False), want(), Step.FIND),
        (live(deleted=True), want(), Step.RESTORE),
        (live(), want(enabled=False), Step.DISABLE),
        (live(), want(epoch=1), Step.REVOKE),
        (live(to_revoke=("phone",)), want(), Step.REVOKE),
        (live(), want(upn="b@contoso.example"), Step.RENAME),
        (live(), want(upn="ADA@contoso.example"), None),
        (live(), want(display_name="B"), Step.UPDATE),
        (live(), want(given_name="B"), Step.UPDATE),
        (live(), want(usage_location=""), None),
        (live(), want(licences=(SKU,)), Step.LICENSE),
        (live(), want(Presence.KEPT, enabled=False), Step.DISABLE),
        (live(), want(Presence.KEPT, display_name="B"), Step.UPDATE),
        (live(), want(Presence.LEFT, display_name="B", enabled=False), None),
        (live(), want(Presence.LEFT, epoch=1), Step.REVOKE),
        (live(), want(Presence.ABSENT), Step.DELETE),
        (live(deleted=True), want(Presence.ABSENT, epoch=1), None),
        (live(deleted=True), want(Presence.KEPT, enabled=False), None),
        (working(begun_at=None), want(Presence.ABSENT), None),
        (working(begun_at=None), want(Presence.KEPT, enabled=False), None),
        (working(), want(Presence.ABSENT), Step.FIND),
        (working(), want(Presence.KEPT), Step.FIND),
        (working(sure=True), want(Presence.KEPT), None),
    ],
)
def test_the_next_step(job: Person, goal: Wanted, step: Step | None) -> None:
    assert next_step(goal, job) is step


def test_who_is_kept_out_is_kept_out_first_and_let_in_last() -> None:
    goal = want(enabled=False, epoch=1, upn="b@contoso.example", display_name="B", licences=(SKU,))
    taken, job = [], live()
    while (step := next_step(goal, job)) is not None:
        taken.append(step)
        job = succeeded(step, goal, job, NOW)
    assert taken == [Step.DISABLE, Step.REVOKE, Step.RENAME, Step.UPDATE, Step.LICENSE]
    goal = replace(goal, facts=replace(goal.facts, enabled=True, surname="C"))
    assert next_step(goal, job) is Step.UPDATE
    assert next_step(goal, succeeded(Step.UPDATE, goal, job, NOW)) is Step.ENABLE


FACT = st.builds(
    Facts,
    upn=st.sampled_from(["a@x.example", "b@x.example"]),
    display_name=st.sampled_from(["A", "B"]),
    given_name=st.just("A"),
    surname=st.sampled_from(["A", "B"]),
    usage_location=st.sampled_from(["FR", ""]),
    enabled=st.booleans(),
    licences=st.sampled_from([(), (SKU,)]),
)


@given(
    st.builds(Wanted, st.sampled_from(Presence), st.just("id"), FACT, st.integers(0, 2)),
    FACT,
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_steps_lead_to_an_end_and_no_step_is_taken_twice(
    goal: Wanted, has: Facts, exists: bool, deleted: bool, begun_before: bool, linked_before: bool
) -> None:
    job = working(begun_at=NOW if begun_before else None, object_id="o" if linked_before else "")
    user = User("o", "id", has, created_at=NOW)
    taken: list[Step] = []
    while (step := next_step(goal, job)) is not None:
        assert len(taken) < 15, taken
        taken.append(step)
        if step is Step.FIND:
            finding = Finding() if not exists else Finding(deleted=user) if deleted else Finding(user=user)
            if goal.presence is Presence.PRESENT and exists and deleted and not linked_before:
                with pytest.raises(NotOurs):
                    found(finding, goal, job)
                return
            job, candidate = found(finding, goal, job)
            if candidate is not None:
                job = linked(job, candidate, goal, NOW)
        else:
            exists, deleted = step is not Step.DELETE, False
            job = succeeded(step, goal, job, NOW, "o")
    assert all(taken.count(step) <= (3 if step is Step.FIND else 1) for step in taken)
    if goal.presence is Presence.PRESENT:
        assert job.object_id
        assert not job.deleted
        assert job.applied is not None
        for field in fields(Facts):
            if field.name != "usage_location":
                assert getattr(job.applied, field.name) == getattr(goal.facts, field.name)


def test_a_user_with_another_immutable_id_is_not_touched() -> None:
    user = User("o", "ID-ADA", FACTS)
    with pytest.raises(NotOurs) as refused:
        found(Finding(user=user), want(), live(sure=False))
    assert refused.value.key is FaultKey.OTHER_IDENTITY


def test_a_user_from_before_we_began_is_somebody_elses_work() -> None:
    user = User("other", "id-ada", FACTS, created_at=NOW - timedelta(days=1))
    assert found(Finding(user=user), want(), working())[1] is user


def test_a_user_that_was_made_since_we_began_is_ours_once_its_roles_were_read() -> None:
    """It may be one of our own whose answer was lost. But the job may have begun long ago."""
    user = User("other", "id-ada", FACTS, created_at=NOW - timedelta(minutes=1))
    for presence in Presence:
        assert found(Finding(user=user), want(presence), working()) == (working(), user)


@pytest.mark.parametrize("made", [NOW - timedelta(days=1), NOW])
def test_a_deleted_user_that_was_never_linked_is_not_restored(made: datetime) -> None:
    """It may hold a directory role, which nobody sees while it is deleted: also one that was made since we began."""
    user = User("other", "id-ada", FACTS, created_at=made)
    for job in (working(), live(sure=False, linked_at=NOW)):
        with pytest.raises(NotOurs) as refused:
            found(Finding(deleted=user), want(), job)
        assert refused.value.key is FaultKey.DELETED_USER
    for presence in (Presence.KEPT, Presence.LEFT, Presence.ABSENT):
        job, _ = found(Finding(deleted=user), want(presence), working())
        assert (job.object_id, next_step(want(presence), job)) == ("", None)


@pytest.mark.parametrize("presence", [Presence.KEPT, Presence.ABSENT])
def test_who_was_never_ours_is_neither_disabled_nor_deleted(presence: Presence) -> None:
    user = User("other", "id-ada", FACTS, created_at=NOW - timedelta(days=1))
    job, candidate = found(Finding(user=user), want(presence, enabled=False), working())
    assert (job.object_id, candidate) == ("", None)
    assert next_step(want(presence, enabled=False), job) is None


def test_licences_that_somebody_else_gave_are_not_ours_to_take() -> None:
    user = User("o", "id-ada", replace(FACTS, licences=("theirs",)))
    assert linked(working(), user, want(), NOW).applied == replace(FACTS, licences=())


@pytest.mark.parametrize("step", [Step.DELETE, Step.DISABLE, Step.RENAME, Step.UPDATE, Step.ENABLE])
def test_a_synced_user_is_changed_by_no_step(step: Step) -> None:
    assert precheck(step, want(), live(synced=True)) is FaultKey.DIRECTORY_SYNCED
    assert precheck(Step.REVOKE, want(), live(synced=True)) is None


def test_each_step_is_in_the_table_once() -> None:
    assert [step for step, _ in STEPS] == STEPS_IN_ORDER
    assert {step for step, _ in STEPS} == set(Step) - {Step.ADOPT}


STEPS_IN_ORDER = [
    Step.FIND, Step.DELETE, Step.RESTORE, Step.CREATE, Step.DISABLE, Step.REVOKE, Step.RENAME, Step.UPDATE,
    Step.LICENSE, Step.ENABLE,
]  # fmt: skip

# --- answers ----------------------------------------------------------------------------------------------------

CONFLICT = refusal(
    400,
    "Another object with the same value for property userPrincipalName already exists.",
    details=[{"code": "ObjectConflict", "target": "userPrincipalName"}],
)
SYNCED = refusal(
    400,
    "Unable to update the specified properties for on-premises mastered Directory Sync objects or objects currently "
    "undergoing migration.",
)


@pytest.mark.parametrize(
    ("step", "answer", "attempts", "expected"),
    [
        (Step.CREATE, GraphAnswer(201), 1, Meaning(Verdict.DONE)),
        (Step.UPDATE, GraphAnswer(204), 1, Meaning(Verdict.DONE)),
        (Step.REVOKE, GraphAnswer(202), 1, Meaning(Verdict.DONE)),
        (Step.DELETE, GraphAnswer(404), 1, Meaning(Verdict.DONE)),
        (Step.UPDATE, GraphAnswer(404), 1, Meaning(Verdict.LOOK, FaultKey.NOT_VISIBLE_YET)),
        (Step.CREATE, GraphAnswer(None), 1, Meaning(Verdict.LOOK, FaultKey.NO_ANSWER)),
        (Step.CREATE, GraphAnswer(500), 99, Meaning(Verdict.LOOK, FaultKey.SERVICE_AWAY)),
        (Step.CREATE, GraphAnswer(503), 99, Meaning(Verdict.LOOK, FaultKey.SERVICE_AWAY)),
        (Step.CREATE, GraphAnswer(429), 99, Meaning(Verdict.RETRY, FaultKey.THROTTLED)),
        (Step.CREATE, GraphAnswer(401), 1, Meaning(Verdict.RETRY, FaultKey.SIGN_IN_REFUSED)),
        (Step.CREATE, GraphAnswer(403), 1, Meaning(Verdict.PAUSE, FaultKey.PERMISSION_MISSING)),
        (Step.FIND, GraphAnswer(403), 1, Meaning(Verdict.PAUSE, FaultKey.PERMISSION_MISSING)),
        (Step.ADOPT, GraphAnswer(403), 1, Meaning(Verdict.STOP, FaultKey.ROLES_UNREADABLE)),
        (Step.DISABLE, GraphAnswer(403), 1, Meaning(Verdict.STOP, FaultKey.PERSON_REFUSED)),
        (Step.RESTORE, GraphAnswer(403), 1, Meaning(Verdict.STOP, FaultKey.PERSON_REFUSED)),
        (Step.CREATE, CONFLICT, 99, Meaning(Verdict.CONFLICT, FaultKey.NAME_TAKEN)),
        (Step.RENAME, CONFLICT, 1, Meaning(Verdict.RETRY, FaultKey.NAME_TAKEN)),
        (Step.RENAME, CONFLICT, 6, Meaning(Verdict.STOP, FaultKey.NAME_TAKEN)),
        (Step.UPDATE, SYNCED, 1, Meaning(Verdict.STOP, FaultKey.DIRECTORY_SYNCED)),
        (Step.CREATE, GraphAnswer(400), 1, Meaning(Verdict.STOP, FaultKey.REFUSED)),
        (Step.CREATE, GraphAnswer(302), 1, Meaning(Verdict.STOP, FaultKey.REFUSED)),
        (
            Step.CREATE,
            refusal(400, "One or more property values specified are invalid."),
            1,
            Meaning(Verdict.RETRY, FaultKey.REFUSED),
        ),
        (
            Step.CREATE,
            refusal(400, "One or more property values specified are invalid."),
            5,
            Meaning(Verdict.STOP, FaultKey.REFUSED),
        ),
        (
            Step.UPDATE,
            refusal(400, "Invalid value specified for property 'usageLocation' of resource 'User'."),
            1,
            Meaning(Verdict.STOP, FaultKey.LOCATION_REFUSED),
        ),
    ],
)
def test_what_an_answer_means(step: Step, answer: GraphAnswer, attempts: int, expected: Meaning) -> None:
    assert meaning(step, answer, attempts) == expected


SAID = ["", "ObjectConflict", "\n", *(word for rule in RULES for word in rule.words)]


@given(
    st.sampled_from(Step),
    st.one_of(st.none(), st.integers(100, 599)),
    st.sampled_from(SAID),
    st.integers(1, 50),
)
def test_every_answer_has_a_meaning_with_an_explanation(
    step: Step, status: int | None, words: str, attempts: int
) -> None:
    answer = GraphAnswer(status, {"error": {"code": words, "message": words, "details": [words]}})
    what = meaning(step, answer, attempts)
    assert (what.key is None) is (what.verdict is Verdict.DONE)
    if what.verdict is Verdict.DONE:
        assert answer.ok or (step, status) == (Step.DELETE, 404)


@pytest.mark.parametrize(
    "body", [{}, {"error": "x"}, {"error": {}}, {"error": {"details": "x"}}, {"value": "x"}]
)
def test_answers_of_another_form_are_read_as_far_as_they_go(body: dict[str, Any]) -> None:
    answer = GraphAnswer(400, body)
    assert meaning(Step.CREATE, answer, 1).verdict is Verdict.STOP
    assert (answer.values, answer.details) == ((), "")


def test_every_rule_can_be_met() -> None:
    for index, rule in enumerate(RULES):
        said = " ".join(rule.words[:1])
        statuses = rule.status or {400, 418}
        assert any(
            next(r for r in RULES if r.matches(step, status, said)) is rule
            for step in rule.steps
            for status in statuses
        ), index


@pytest.mark.parametrize("key", FaultKey)
@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_fault_is_explained_in_both_languages(key: FaultKey, language: str) -> None:
    said = explanation(key, language)
    assert said.meaning.endswith(".")
    assert said.remedy.endswith(".")


@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_fault_has_a_message_of_its_own(language: str) -> None:
    """A wrong secret is not an expired one, and no units of a licence are not a refused usage location."""
    said = [explanation(key, language) for key in FaultKey]
    assert len({each.meaning for each in said}) == len(FaultKey)


def test_every_permission_says_what_it_costs_to_lack_it() -> None:
    for probe in PROBES:
        assert permission_cost(probe.permission, "en") != permission_cost(probe.permission, "fr") != ""


@pytest.mark.parametrize(
    ("status", "key"),
    [
        (None, FaultKey.NO_ANSWER),
        (429, FaultKey.THROTTLED),
        (503, FaultKey.SERVICE_AWAY),
        (400, FaultKey.SIGN_IN_REFUSED),
    ],
)
def test_a_sign_in_that_fails_without_a_known_number(status: int | None, key: FaultKey) -> None:
    assert SignInFailed(status, error="invalid_grant", codes=(1,)).key is key


# --- requests ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("o'hara@x", "%27o%27%27hara%40x%27"),
        ("a#b", "%27a%23b%27"),
        ("a&b=c+d/e", "%27a%26b%3Dc%2Bd%2Fe%27"),
        ("$ada", "%27%24ada%27"),
        ("AbC+/==", "%27AbC%2B%2F%3D%3D%27"),
    ],
)
def test_text_in_a_filter(text: str, encoded: str) -> None:
    assert requests.literal(text) == encoded


def test_both_lists_of_licences_are_always_sent() -> None:
    new, old = replace(FACTS, licences=("a", "b")), replace(FACTS, licences=("b", "c"))
    assert requests.assign_licences("o", new, old).body == {
        "addLicenses": [{"skuId": "a", "disabledPlans": []}],
        "removeLicenses": ["c"],
    }


def test_no_object_id_leaves_its_place_in_the_path() -> None:
    assert requests.delete("a/../b?x#y").url == "/users/a%2F..%2Fb%3Fx%23y"


@pytest.mark.parametrize("given", [{}, {"id": None}, {"id": 7}, {"id": ""}])
def test_what_is_no_user_is_none(given: dict[str, Any]) -> None:
    assert requests.read_user(given) is None


def test_a_user_with_nulls_is_read() -> None:
    read = requests.read_user(
        {"id": "o", "onPremisesImmutableId": None, "assignedLicenses": None, "createdDateTime": "x"}
    )
    assert read is not None
    assert (read.immutable_id, read.facts.licences, read.created_at, read.facts.enabled) == (
        "",
        (),
        None,
        False,
    )


# --- pace -------------------------------------------------------------------------------------------------------


def test_the_pace_grows_slowly_and_halves_at_once() -> None:
    pace = Pace(60)
    for _ in range(200):
        pace = paced(pace, GraphAnswer(200), NOW)
    assert 20 < pace.limit < 25
    slower = paced(pace, GraphAnswer(429), NOW)
    assert slower.limit == pace.limit // 2
    assert paced(slower, GraphAnswer(503), NOW).limit == slower.limit
    assert paced(slower, GraphAnswer(503), NOW + timedelta(seconds=3)).limit < slower.limit


def test_nothing_is_begun_before_retry_after() -> None:
    pace = paced(Pace(60), GraphAnswer(429, retry_after=timedelta(seconds=10)), NOW)
    assert pace.free(0, NOW + timedelta(seconds=9)) == 0
    assert pace.free(0, NOW + timedelta(seconds=10)) > 0
    shorter = paced(pace, GraphAnswer(429, retry_after=timedelta(seconds=1)), NOW)
    assert shorter.free(0, NOW + timedelta(seconds=9)) == 0


@given(
    st.lists(
        st.tuples(st.sampled_from([200, 201, 404, 429, 503, None]), st.floats(0, 2), st.integers(0, 5)),
        max_size=60,
    )
)
def test_the_pace_stays_between_one_and_the_most(answers: list[tuple[int | None, float, int]]) -> None:
    pace, now = Pace(7), NOW
    for status, load, seconds in answers:
        now += timedelta(seconds=seconds)
        pace = paced(pace, GraphAnswer(status, load=load), now)
        assert 1 <= pace.limit <= 7


def test_high_load_slows_down_before_anything_is_refused() -> None:
    assert paced(Pace(60), GraphAnswer(200, load=0.9), NOW).at_once < Pace(60).at_once
