"""A taken-over approval service before the real page: whatever the API answers, nothing is signed that was not shown.

The page and its scripts are files that approval does not serve. So the attacker has the answers of `/api/`, and these
tests write them.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from playwright.async_api import Page, Route, expect

from shared.ids import b64u, unb64u
from tests.approval.handset import Handset, passed_on

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.xdist_group("chromium-phone"),
    pytest.mark.asyncio(loop_scope="session"),
]

COUNT_SIGNATURES = """
(() => {
  if (!navigator.credentials) return; // about:blank
  window.signed = [];
  const get = navigator.credentials.get.bind(navigator.credentials);
  navigator.credentials.get = (options) => {
    const { challenge, rpId } = options.publicKey;
    window.signed.push({ challenge: Array.from(new Uint8Array(challenge)), rpId });
    return get(options);
  };
  const create = navigator.credentials.create.bind(navigator.credentials);
  navigator.credentials.create = (options) => {
    const { challenge, rp, attestation } = options.publicKey;
    window.created = { challenge: Array.from(new Uint8Array(challenge)), rp: rp.id, attestation };
    return create(options);
  };
})();
"""
"""Keeps what the page asks the authenticator to sign."""

MARKUP = """<img src=x onerror="window.run = true"><script>window.run = true</script>"""


async def signed(page: Page) -> list[tuple[bytes, str]]:
    """What was signed since the page was loaded: challenge and RP ID."""
    found: list[Mapping[str, Any]] = await page.evaluate("window.signed")
    return [(bytes(each["challenge"]), each["rpId"]) for each in found]


async def answers(handset: Handset, path: str, change: Callable[[dict[str, Any]], object]) -> list[Any]:
    """From now on what the API answers there is changed; returns the bodies that the page sends to it."""
    sent: list[Any] = []

    async def hostile(route: Route) -> None:
        sent.append(route.request.post_data_json)
        answer = await passed_on(route)
        changed = change(await answer.json())
        body = changed if isinstance(changed, str) else json.dumps(changed)
        await route.fulfill(response=answer, body=body)

    await handset.page.route(f"**/api{path}", hostile)
    return sent


async def watched(handset: Handset) -> None:
    """An enrolled phone whose every signature is kept."""
    await handset.page.add_init_script(COUNT_SIGNATURES)
    await handset.enrol()


@pytest.mark.parametrize("kind", ["digest", "context"])
async def test_unlocking_signs_no_sign_in_whatever_the_nonce(handset: Handset, kind: str) -> None:
    """Once the API chose the octets: it gave a push's digest, and who unlocked BlokKey approved the push."""
    await watched(handset)
    asked = await handset.ask()
    context = asked.with_code()
    wanted = hashlib.sha256(context.encode()).digest()
    nonce = b64u(wanted) if kind == "digest" else f'x","purpose":"approve",{context[1:]}'
    sessions = await answers(handset, "/sessions", lambda answer: answer)
    await answers(handset, "/sessions/nonce", lambda answer: {**answer, "server_nonce": nonce})
    await handset.lock()
    await handset.press("Unlock")
    await handset.heading("That didn't work")  # approval, which is honest behind him, did not ask for this
    (body,) = sessions
    stated = json.loads(body["statement"])
    assert stated.keys() == {"v", "purpose", "origin", "rp_id", "nonce", "server_nonce"}
    assert (stated["purpose"], stated["origin"], stated["server_nonce"]) == ("session", handset.origin, nonce)
    assert len(unb64u(stated["nonce"])) == 32
    ((challenge, rp_id),) = await signed(handset.page)
    assert challenge == hashlib.sha256(body["statement"].encode()).digest() != wanted
    assert rp_id == "id.localhost"
    assert handset.approval.state(asked) == "open"


async def test_a_nonce_that_is_no_text_is_signed_in_no_way(handset: Handset) -> None:
    await watched(handset)
    await answers(
        handset, "/sessions/nonce", lambda answer: {**answer, "server_nonce": {"purpose": "approve"}}
    )
    await handset.lock()
    await handset.press("Unlock")
    await handset.heading("That didn't work")
    assert await signed(handset.page) == []


def altered(**fields: object) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The context with other fields; a value of None leaves the field out."""

    def change(facts: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in {**facts, **fields}.items() if value is not None}

    return change


NOT_SHOWN: Mapping[str, Callable[[dict[str, Any]], object]] = {
    "a passkey's context": altered(purpose="sign-in", method="passkey"),
    "an unknown purpose": altered(purpose="transfer"),
    "a statement's purpose": altered(purpose="session"),
    "no purpose": altered(purpose=None),
    "a field more": altered(amount="1,000,000"),
    "a code already": altered(code="482913"),
    "a field less": altered(known_browser=None),
    "another version": altered(v=1),
    "another kind of value": altered(code_required="no"),
    "another site's sign-in": altered(origin="https://login.contoso.evil.example"),
    "the phone's own origin": lambda facts: {**facts, "origin": facts["origin"].replace("//", "//key.")},
    "a list": lambda facts: [facts],
    "no object": lambda _: "approve",
    "nothing": lambda _: None,
}


@pytest.mark.parametrize("change", NOT_SHOWN.values(), ids=NOT_SHOWN)
async def test_what_the_page_does_not_know_is_not_shown_and_said(
    handset: Handset, change: Callable[[dict[str, Any]], object]
) -> None:
    await watched(handset)
    asked = await handset.ask()

    def other(answer: dict[str, Any]) -> dict[str, Any]:
        (challenge,) = answer["challenges"]
        text = json.dumps(change(json.loads(challenge["context"])))
        return {"challenges": [{**challenge, "context": text}]}

    await answers(handset, "/challenges", other)
    await handset.look()
    await handset.heading("This request can't be shown")
    await expect(handset.page.get_by_role("button", name="Approve")).to_be_hidden()
    assert await signed(handset.page) == []
    assert handset.approval.state(asked) == "open"


async def test_one_that_cannot_be_shown_hides_no_other(handset: Handset) -> None:
    await watched(handset)
    await handset.ask()
    await answers(
        handset,
        "/challenges",
        lambda answer: {"challenges": [{**answer["challenges"][0], "context": "{}"}, *answer["challenges"]]},
    )
    await handset.look()
    await handset.heading("Are you signing in to Microsoft 365?")


async def test_what_is_signed_is_what_was_shown(handset: Handset) -> None:
    """He shows another application's name: that is then what she signs, and it is not what anybody asked for."""
    await watched(handset)
    asked = await handset.ask()

    def lunch(answer: dict[str, Any]) -> dict[str, Any]:
        (challenge,) = answer["challenges"]
        facts = {**json.loads(challenge["context"]), "application_name": "Lunch menu"}
        return {"challenges": [{**challenge, "context": json.dumps(facts)}]}

    await answers(handset, "/challenges", lunch)
    sent = await answers(handset, "/challenges/*/approve", lambda answer: answer)
    await handset.look()
    await handset.heading("Are you signing in to Lunch menu?")
    await handset.code(asked.code)
    await handset.heading("This request is over")
    (body,) = sent
    assert json.loads(body["context"]) == {
        **json.loads(asked.with_code()),
        "application_name": "Lunch menu",
    }
    assert (await signed(handset.page))[-1][0] == hashlib.sha256(body["context"].encode()).digest()
    assert handset.approval.state(asked) == "open"


async def test_an_unknown_browser_cannot_be_shown_as_known(handset: Handset) -> None:
    """What wsfed knows is in the signed text; that a warning of the API's is missing means nothing."""
    await watched(handset)
    await handset.ask()

    def known(answer: dict[str, Any]) -> dict[str, Any]:
        return {"challenges": [{**each, "browser_known": True} for each in answer["challenges"]]}

    await answers(handset, "/challenges", known)
    await handset.look()
    await expect(handset.page.locator("[data-unknown]")).to_be_visible()


async def test_markup_in_any_answer_stays_text(handset: Handset) -> None:
    await watched(handset)
    asked = await handset.ask()

    def everywhere(value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {key: everywhere(each, key) for key, each in value.items()}
        if isinstance(value, list):
            return [everywhere(each, name) for each in value]
        if not isinstance(value, str) or name in (
            "id",
            "enrolled_at",
            "credential_id",
            "opened_at",
            "deadline",
        ):
            return value
        return MARKUP

    def requests(answer: dict[str, Any]) -> dict[str, Any]:
        (challenge,) = answer["challenges"]
        facts = json.loads(challenge["context"])
        kept = ("purpose", "origin", "issued_at", "expires_at")
        facts = {name: value if name in kept else everywhere(value) for name, value in facts.items()}
        countries = {"browser": MARKUP, "phone": MARKUP}
        return {"challenges": [{**challenge, "context": json.dumps(facts), "country_differs": countries}]}

    await answers(handset, "/challenges", requests)
    await answers(handset, "/devices", everywhere)
    await handset.look()
    await expect(handset.page.locator('[data-view="request"] h1')).to_contain_text("<img src=x onerror")
    await expect(handset.page.locator("#countries")).to_contain_text("<script>")
    await handset.press("Decline")
    await handset.heading("Declined")
    assert handset.approval.state(asked) == "denied"
    await handset.page.unroute("**/api/challenges")
    await handset.press("Back to requests")
    await handset.press("My phones")
    await expect(handset.page.locator("[data-devices]")).to_contain_text("<img src=x onerror")
    assert await handset.page.evaluate("document.querySelectorAll('main img, main script').length") == 0
    assert await handset.page.evaluate("window.run") is None


@pytest.mark.parametrize(
    "body", ["<h1>Sign in</h1><script>window.run = true</script>", "null", "[]", '"x"', ""]
)
async def test_an_answer_that_is_no_object_is_a_failure_and_nothing_else(handset: Handset, body: str) -> None:
    await watched(handset)

    async def hostile(route: Route) -> None:
        await route.fulfill(status=200, content_type="text/html", body=body)

    await handset.page.route("**/api/sessions/nonce", hostile)
    await handset.lock()
    await handset.press("Unlock")
    await handset.heading("That didn't work")
    assert await signed(handset.page) == []
    assert await handset.page.evaluate("window.run") is None


async def test_a_redirect_is_not_followed(handset: Handset) -> None:
    await watched(handset)
    elsewhere = handset.origin.replace("//key.", "//")

    async def hostile(route: Route) -> None:
        await route.fulfill(status=307, headers={"Location": f"{elsewhere}/signin/"})

    await handset.page.route("**/api/sessions/nonce", hostile)
    await handset.lock()
    await handset.press("Unlock")
    await handset.heading("We can't do that right now")
    assert handset.page.url == f"{handset.origin}/"


async def test_enrolment_takes_no_options_from_the_api(handset: Handset) -> None:
    """A key for another RP ID, or an attestation, which would sign octets with the new key."""
    await handset.page.add_init_script(COUNT_SIGNATURES)

    def other(answer: dict[str, Any]) -> dict[str, Any]:
        options = {"rp": {"id": "key.id.localhost"}, "attestation": "direct", "challenge": "AAAA"}
        return {**answer, "options": options, **options}

    await answers(handset, "/enrolments", other)
    sent = await answers(handset, "/enrolments/*", lambda answer: answer)
    await handset.enrol()
    created = await handset.page.evaluate("window.created")
    assert (created["rp"], created["attestation"]) == ("id.localhost", "none")
    (body,) = sent
    assert bytes(created["challenge"]) == hashlib.sha256(body["statement"].encode()).digest()
    assert json.loads(body["statement"])["purpose"] == "enrol"


async def test_removal_signs_for_the_phone_that_was_named(handset: Handset) -> None:
    await watched(handset)
    await handset.look()
    await handset.press("My phones")
    sent = await answers(handset, "/devices/*/remove", lambda answer: answer)
    await answers(handset, "/devices/*/remove/nonce", lambda answer: {**answer, "device": "another"})
    device = (await handset.approval.devices_told())[0].device
    await handset.page.get_by_role("button", name="Remove Ada's phone").click()

    async def keep(route: Route) -> None:
        sent.append(route.request.post_data_json)
        await route.fulfill(status=204)

    await handset.page.route("**/api/devices/*/remove", keep)
    await handset.press("Remove")
    await handset.heading("This phone was removed")
    (body,) = sent
    stated = json.loads(body["statement"])
    assert (stated["purpose"], stated["device"]) == ("remove", device)
    assert (await signed(handset.page))[-1][0] == hashlib.sha256(body["statement"].encode()).digest()


async def test_names_that_are_no_text_do_not_brick_the_page(handset: Handset) -> None:
    """They are kept on the phone, so what they break would stay broken with an honest API as well."""
    await watched(handset)
    await handset.lock()
    await answers(handset, "/sessions", lambda answer: {**answer, "account": {"x": 1}, "organisation": None})
    await handset.press("Unlock")
    await handset.heading("No requests")
    await handset.page.unroute("**/api/sessions")
    await handset.open()
    await handset.heading("No requests")
    await handset.lock()
    await handset.press("Unlock")
    await expect(handset.page.locator("[data-view=home] [data-accounts] b").last).to_have_text(
        "ada@contoso.example"
    )


async def test_a_state_that_no_request_has_is_shown_in_general_words(handset: Handset) -> None:
    await watched(handset)
    asked = await handset.ask()
    await handset.heading("Are you signing in to")
    await answers(handset, "/challenges/*", lambda answer: {**answer, "state": MARKUP})
    await answers(handset, "/challenges", lambda answer: {**answer, "challenges": []})
    await handset.heading("That didn't work")
    assert await handset.page.evaluate("window.run") is None
    assert handset.approval.state(asked) == "open"
