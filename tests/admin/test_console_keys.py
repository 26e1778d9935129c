"""The roll-over of a signing key in the console (docs/flows/key-roll-over.md), wsfed's answers given by hand."""

import asyncio
import base64
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from services.admin import handlers
from services.admin.domain.federation import Certificates
from services.admin.domain.roles import Actor, Role
from services.admin.domain.signing_keys import (
    NOTICE,
    PATIENCE,
    KeyRequest,
    KeyRequests,
    KeyStep,
    check_step,
    due_step,
)
from services.admin.handlers import console_keys
from shared.errors import Conflict, Unavailable
from tests.admin.conftest import CONTOSO, FABRIKAM, AdminSystem
from tests.admin.console import Answer, ConsoleBrowser, signed_in
from tests.admin.test_admin_federation import CERTIFICATE, UPCOMING, announce
from tests.world import START

KEYS = f"/t/{CONTOSO}/signing-keys"


def commands(system: AdminSystem) -> list[dict[str, Any]]:
    """What wsfed was asked, the first first."""
    sent = (each for each in system.world.bus.sent if each.type == "wsfed.keys.advance.v1")
    return [json.loads(each.body)["body"] for each in sent]


async def asked(system: AdminSystem, browser: ConsoleBrowser, step: str, **fields: str) -> Answer:
    path = f"{KEYS}/steps/{step}"
    page = await browser.get(path)
    assert page.status == 200, page.words
    answer = await browser.press(page, path, **fields)
    await system.world.settle()
    return answer


async def records(system: AdminSystem) -> Sequence[tuple[str, dict[str, str]]]:
    changes = (await handlers.recording.list_changes(system.deps, CONTOSO)).changes
    return [(each.outcome, dict(each.after)) for each in changes if each.act.value == "keys.roll"]


async def test_the_roll_over_from_end_to_end(system: AdminSystem) -> None:
    browser = await signed_in(system)
    assert "isn't known here yet" in (await browser.get(KEYS)).words
    await announce(system)
    page = await browser.get(KEYS)
    assert {f"{KEYS}/steps/next"} == {each for each in page.actions if "/steps/" in each}
    assert "Update-MgDomain" not in page.text
    # 1
    answer = await asked(system, browser, "next")
    assert (answer.status, answer.location) == (303, KEYS)
    assert commands(system) == [{"step": "next", "version": 1, "at_once": False}]
    page = await browser.get(KEYS)
    assert "Waiting for confirmation A new key is being made. Asked for by Olga Owner." in page.words
    assert not {each for each in page.actions if "/steps/" in each}
    now = system.world.clock.now()
    await announce(system, version=2, next=UPCOMING, next_since=now)
    page = await browser.get(KEYS)
    assert "Waiting" not in page.words
    assert "-NextSigningCertificate $Certificate" in page.text
    assert UPCOMING in page.text
    assert "Then wait until Entra's setting is in force everywhere" in page.words
    # 2, a day later
    system.world.clock.advance(NOTICE.total_seconds())
    browser = await signed_in(system, name="Otto Owner")
    await asked(system, browser, "switch")
    await announce(system, version=3, current=UPCOMING, previous=CERTIFICATE)
    page = await browser.get(KEYS)
    assert "-SigningCertificate $Certificate -NextSigningCertificate $Certificate" in page.text
    # 3
    system.world.clock.advance(1)
    await asked(system, browser, "promote")
    await announce(system, version=4, current=UPCOMING)
    assert {f"{KEYS}/steps/next"} == {each for each in (await browser.get(KEYS)).actions if "/steps/" in each}
    assert [(each["step"], each["version"]) for each in commands(system)] == [
        ("next", 1),
        ("switch", 2),
        ("promote", 3),
    ]
    assert [after["key_step"] for _, after in await records(system)] == ["promote", "switch", "next"]
    changes = await browser.get(f"/t/{CONTOSO}/changes")
    assert "Signing key: step asked for" in changes.words
    assert "Step: destroy the old key" in changes.words


async def test_the_next_key_does_not_sign_before_a_day_unless_somebody_says_that_entra_has_it(
    system: AdminSystem,
) -> None:
    await announce(system, version=2, next=UPCOMING, next_since=system.world.clock.now())
    browser = await signed_in(system)
    refused = await asked(system, browser, "switch")
    assert refused.status == 409
    assert "Entra may not know the next certificate everywhere yet." in refused.words
    assert commands(system) == []
    answer = await asked(system, browser, "switch", at_once="yes")
    assert answer.status == 303
    assert commands(system) == [{"step": "switch", "version": 2, "at_once": True}]
    assert await records(system) == [("done", {"key_step": "switch", "at_once": "yes"})]


async def test_a_next_key_that_nobody_says_since_when_it_is_known_waits_for_that_word(
    system: AdminSystem,
) -> None:
    await announce(system, next=UPCOMING)
    browser = await signed_in(system)
    assert (await browser.get(KEYS)).status == 200
    assert (await asked(system, browser, "switch")).status == 409
    assert (await asked(system, browser, "switch", at_once="yes")).status == 303


async def test_pressed_twice_it_is_asked_once(system: AdminSystem) -> None:
    await announce(system)
    browser = await signed_in(system)
    page = await browser.get(f"{KEYS}/steps/next")
    for _ in range(3):
        assert (await browser.press(page, f"{KEYS}/steps/next")).status == 303
    await system.world.settle()
    assert len(commands(system)) == len(await records(system)) == 1


async def test_of_two_owners_at_once_the_second_is_told_who_was_first(system: AdminSystem) -> None:
    await announce(system)
    one, other = [await signed_in(system, name=name) for name in ("Olga Owner", "Otto Other")]
    pages = [await each.get(f"{KEYS}/steps/next") for each in (one, other)]
    assert (await one.press(pages[0], f"{KEYS}/steps/next")).status == 303
    second = await other.press(pages[1], f"{KEYS}/steps/next")
    assert second.status == 409
    assert "Olga Owner asked for a step a moment ago." in second.words
    await announce(system, version=2, next=UPCOMING, next_since=system.world.clock.now())
    late = await other.press(pages[1], f"{KEYS}/steps/next")
    assert late.status == 409
    assert "have changed since you opened this page" in late.words
    assert f"{KEYS}/steps/switch" in late.actions
    assert (await one.press(pages[0], f"{KEYS}/steps/next")).status == 303  # its own, once more
    assert len(commands(system)) == 1


async def test_at_the_very_same_moment_one_command_is_written(stored: AdminSystem) -> None:
    await announce(stored)
    team = [await signed_in(stored, name=name) for name in ("Olga Owner", "Otto Other")]
    assert team
    members = (await stored.deps.teams.get(CONTOSO)).members
    actors = [
        Actor(
            each.administrator, each.name, "", CONTOSO, Role.OWNER, None, "s", stored.world.clock.now(), "a"
        )
        for each in members
    ]
    done = await asyncio.gather(
        *(
            console_keys.take_step(stored.deps, actor, KeyStep.NEXT, version=1, at_once=False)
            for actor in actors
        ),
        return_exceptions=True,
    )
    assert sorted(type(each).__name__ for each in done) == ["Conflict", "NoneType"]
    await stored.world.services["admin"].relay.flush()
    await stored.world.settle()
    assert len(commands(stored)) == 1
    assert sorted(outcome for outcome, _ in await records(stored)) in (["done"], ["done", "refused"])


async def test_what_wsfed_does_not_confirm_can_be_asked_for_again(system: AdminSystem) -> None:
    await announce(system)
    browser = await signed_in(system)
    await asked(system, browser, "next")
    system.world.clock.advance(PATIENCE.total_seconds())
    page = await browser.get(KEYS)
    assert "Not confirmed The last step hasn't taken effect." in page.words
    await asked(system, browser, "next")
    assert len(commands(system)) == 2


async def test_a_step_that_is_not_due_is_not_asked_for(system: AdminSystem) -> None:
    await announce(system)
    browser = await signed_in(system)
    for step in ("switch", "promote"):
        assert (await browser.get(f"{KEYS}/steps/{step}")).status == 409
        token = {"csrf": browser.csrf, "version": "1", "at_once": "yes"}
        assert (await browser.post(f"{KEYS}/steps/{step}", token)).status == 409
    for step in ("emergency", "NEXT", "x"):
        assert (await browser.get(f"{KEYS}/steps/{step}")).status == 404
    for version in ("", "-1", "1e1", "²", "9" * 12):
        posted = await browser.post(f"{KEYS}/steps/next", {"csrf": browser.csrf, "version": version})
        assert posted.status == 400, version
    assert commands(system) == []


async def test_admin_that_is_killed_before_the_command_has_asked_for_nothing(
    system: AdminSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def killed(*_: object) -> bool:
        raise Unavailable("admin.key.unknown")

    await announce(system)
    browser = await signed_in(system)
    with monkeypatch.context() as patch:
        patch.setattr(type(system.deps.key_requests), "change", killed)
        assert (await asked(system, browser, "next")).status == 503
    assert [outcome for outcome, _ in await records(system)] == ["begun"]
    assert commands(system) == []
    await asked(system, browser, "next")
    assert len(commands(system)) == 1


@pytest.mark.parametrize("role", [Role.ADMINISTRATOR, Role.AUDITOR, Role.READ_ONLY])
async def test_who_is_no_owner_sees_and_does_nothing(system: AdminSystem, role: Role) -> None:
    await announce(system, next=UPCOMING, next_since=system.world.clock.now())
    browser = await signed_in(system, role, "Sam Small")
    page = await browser.get(KEYS)
    assert page.status == 200
    assert "Only owners can replace the key." in page.words
    assert not {each for each in page.actions if "/steps/" in each}


async def test_as_a_tab_of_the_application_it_keeps_its_heading(system: AdminSystem) -> None:
    await announce(system)
    browser = await signed_in(system)
    assert (await browser.get(KEYS)).soup.find("h1").get_text() == "Signing keys"  # type: ignore[union-attr]
    made = await handlers.add_application(system.deps, CONTOSO, name="Office")
    page = await browser.get(KEYS)
    assert page.soup.find("h1").get_text() == "Office"  # type: ignore[union-attr]
    assert f"/t/{CONTOSO}/applications/{made.id}" in page.actions


async def test_certificates_as_files_and_the_page_that_looks_again(system: AdminSystem) -> None:
    browser = await signed_in(system)
    assert json.loads((await browser.get(f"{KEYS}/state")).text) == {"version": None, "waiting": False}
    await announce(system, next=UPCOMING)
    await announce(system, FABRIKAM, current=UPCOMING)
    answer = await browser.get(f"{KEYS}/certificates/next")
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="blok365-contoso-')
    assert answer.headers["Content-Type"].startswith("application/octet-stream")
    begin, *body, end = answer.text.splitlines()
    assert (begin, end) == ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----")
    assert base64.b64decode("".join(body)) == base64.b64decode(UPCOMING)
    assert (await browser.get(f"{KEYS}/certificates/previous")).status == 404
    assert json.loads((await browser.get(f"{KEYS}/state")).text) == {"version": 1, "waiting": False}
    assert f"{system.deps.origin}/t/{CONTOSO}/try" in (await _application(system, browser)).actions


async def _application(system: AdminSystem, browser: ConsoleBrowser) -> Answer:
    application = await handlers.add_application(system.deps, CONTOSO)
    page = await browser.get(f"/t/{CONTOSO}/applications/{application.id}")
    assert KEYS in page.actions
    return page


# --- pure


@pytest.mark.parametrize(
    ("upcoming", "previous", "due"),
    [
        (None, None, KeyStep.NEXT),
        ("n", None, KeyStep.SWITCH),
        (None, "p", KeyStep.PROMOTE),
        ("n", "p", KeyStep.PROMOTE),  # the command line made a next key before the roll-over was finished
    ],
)
def test_which_step_is_due(upcoming: str | None, previous: str | None, due: KeyStep) -> None:
    certificates = Certificates(current="c", next=upcoming, previous=previous, next_since=START, version=5)
    assert due_step(certificates) is due
    for step in KeyStep:
        if step is due:
            check_step(certificates, step, version=5, at_once=False, now=START + NOTICE)
        else:
            with pytest.raises(Conflict, match="next step"):
                check_step(certificates, step, version=5, at_once=True, now=START + NOTICE)
        with pytest.raises(Conflict, match="changed"):
            check_step(certificates, step, version=4, at_once=True, now=START + NOTICE)


def test_a_next_key_without_a_time_is_too_new() -> None:
    certificates = Certificates(current="c", next="n")
    with pytest.raises(Conflict):
        check_step(certificates, KeyStep.SWITCH, version=1, at_once=False, now=START)
    check_step(certificates, KeyStep.SWITCH, version=1, at_once=True, now=START)


def test_a_request_of_another_version_stands_in_nobodys_way() -> None:
    first = KeyRequest(KeyStep.NEXT, 1, START, "olga", "Olga")
    requests = KeyRequests(CONTOSO).asked(first)
    assert requests is not None
    other = KeyRequest(KeyStep.SWITCH, 2, START + timedelta(seconds=1), "otto", "Otto")
    assert requests.pending(2, START) is None
    after = requests.asked(other)
    assert after is not None
    assert after.last == other
