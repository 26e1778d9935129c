"""Attacks with a person in the middle, under each of a tenant's policies: what is stopped, by what, and what is not.

The attacker has a browser of his own and talks to the victim: on the telephone, by mail, or through a look-alike page
that passes everything on in real time. The victim has a phone with BlokKey and, where it helps, a browser that her own
passkey has vouched for. `TABLE` is the truth, also where it is unpleasant; docs/threat-model.md repeats it in words.
"""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from unittest import mock

import pytest
import rfc8785

from deploy.local.browser import Page
from deploy.standins.phone.authenticator import Tamper, assertion
from deploy.standins.phone.phone import PhoneError
from deploy.standins.phone.request import NotShown, Request
from services.approval.handlers import sessions
from services.approval.ports import Ceremony, Dependencies
from services.wsfed.domain.context import digest
from services.wsfed.store import TransactionRepository
from shared.contracts.approval import Proof
from shared.crypto.statement import Purpose
from shared.ids import b64u, new_id
from tests.flows.support import ADA, BrowserWindow, Flow, Phone, SignIn, accepted, peers, token_form

pytestmark = pytest.mark.long

ATTACKER, VICTIM, VICTIMS_PHONE = "203.0.113.9", "198.51.100.7", "198.51.100.20"
"""The victim's phone is on the network of her browser, as at a desk."""
GUESS = "000000"
LOOK_ALIKE = "https://login.contoso.evil.example"

POLICIES: Mapping[str, Mapping[str, object]] = {
    "open": {},
    "open, same network": {"same_network_or_passkey": True},
    "known browsers": {"sign_in": "known_browsers"},
    "passkeys only": {"sign_in": "passkeys_only"},
}


@dataclass
class Scene:
    """Who is there."""

    flow: Flow
    phone: Phone
    victims_browser: BrowserWindow
    """Vouched for by her passkey."""
    before: int = 0
    """Tokens before the attack."""
    on_the_way: int = 0
    """Tokens of an attack's steps before its last, or that the attacker does not get."""

    async def attackers_sign_in(self, browser: BrowserWindow | None = None) -> SignIn:
        """As Ada, in the attacker's browser, or in what he makes of it."""
        browser = browser or await self.flow.browser(peer=ATTACKER)
        return await self.flow.begin(browser=browser, prompt="login")

    async def victim_approves(self, code: str, request: Request | None = None) -> None:
        """She believes that she signs in herself. Raises PhoneError."""
        await self.phone.approve(code, request)

    async def collected(self, sign_in: SignIn) -> str:
        """What the attacker gets: `token`, verified by Microsoft as Ada's, or nothing."""
        answer = await sign_in.token()
        if "wresult" not in answer.text:
            return "no token"
        user = await self.flow.entra.verify(token_form(answer), sign_in.pending)
        assert user.upn == ADA
        return "token"


def refused(page: Page) -> bool:
    """The tenant takes no push and no QR here, and says so."""
    return page.status == 403 and "requires a passkey" in page.words()


async def push(scene: Scene, *, told: bool, browser: BrowserWindow | None = None) -> str:
    """The attacker asks for a push; the victim approves it, with the code that he told her or one that she guesses."""
    sign_in = await scene.attackers_sign_in(browser)
    page = await sign_in.post("push")
    if refused(page):
        return "passkey needed"
    try:
        await scene.victim_approves(page.code() if told else GUESS)
    except PhoneError as error:
        return error.code
    return await scene.collected(sign_in)


async def qr(scene: Scene, *, told: bool) -> str:
    """The attacker shows his own QR code to the victim: in a mail, on a poster, on a page."""
    sign_in = await scene.attackers_sign_in()
    page = await sign_in.post("qr")
    if refused(page):
        return "passkey needed"
    code = page.code() if told else GUESS
    try:
        request = await scene.phone.scan(
            f"{scene.flow.phone_origin}/#q={sign_in.stored['challenge']['handle']}"
        )
        await scene.victim_approves(code, request)
    except PhoneError as error:
        return error.code
    return await scene.collected(sign_in)


async def push_with_guessed_code(scene: Scene) -> str:
    return await push(scene, told=False)


async def push_with_code_told_to_the_victim(scene: Scene) -> str:
    return await push(scene, told=True)


async def qr_with_guessed_code(scene: Scene) -> str:
    return await qr(scene, told=False)


async def qr_with_code_told_to_the_victim(scene: Scene) -> str:
    return await qr(scene, told=True)


async def look_alike_relays_push(scene: Scene) -> str:
    """A proxy in real time: the victim looks at its copy of our page, reads the code there, and approves.

    To us the proxy is the browser. It has every cookie that we set through it, and none that the victim's browser
    holds for our own host: a browser sends those to that host only.
    """
    return await push(scene, told=True)


async def look_alike_in_the_victims_network(scene: Scene) -> str:
    """The same, from a machine in her office or behind her own provider's address."""
    return await push(scene, told=True, browser=await scene.flow.browser(peer="198.51.100.66"))


async def look_alike_relays_a_passkey(scene: Scene) -> str:
    """The proxy passes our challenge on. The victim's browser writes the page's true origin into what is signed.

    A real browser does not even ask the authenticator there, since the RP ID is not of that page's host; here the
    strongest case is taken, in which it signed all the same.
    """
    sign_in = await scene.attackers_sign_in()
    challenge = await sign_in.passkey_challenge()
    for tamper in (Tamper(origin=LOOK_ALIKE), Tamper(origin=LOOK_ALIKE, rp_id="login.contoso.evil.example")):
        answer = await sign_in.passkey(scene.phone, tamper, challenge=challenge)
        assert answer.status == 403
        challenge = await sign_in.passkey_challenge()
    assert await scene.collected(sign_in) == "no token"
    return "origin"


async def look_alike_asks_for_push_after_a_failed_passkey(scene: Scene) -> str:
    """Downgrade: the passkey does not work through the proxy, so it offers the victim the next best way."""
    sign_in = await scene.attackers_sign_in()
    await sign_in.passkey(scene.phone, Tamper(origin=LOOK_ALIKE))
    page = await sign_in.post("push")
    if refused(page):
        return "passkey needed"
    try:
        await scene.victim_approves(page.code())
    except PhoneError as error:
        return error.code
    return await scene.collected(sign_in)


async def approval_of_the_victims_own_sign_in_used_elsewhere(scene: Scene) -> str:
    """The attacker copies what her phone or passkey signed for her own sign-in into his."""
    his = await scene.attackers_sign_in()
    await his.passkey_challenge()
    hers = await scene.flow.begin(browser=scene.victims_browser, prompt="login")
    made = assertion(scene.phone.used_key(), await hers.passkey_challenge())
    answer = await his.passkey(scene.phone, Tamper(replay=made), challenge=b"-")
    assert answer.status == 403
    assert await scene.collected(his) == "no token"
    return "challenge"


async def stolen_cookies_and_code_told_to_the_victim(scene: Scene) -> str:
    """Malware copied the vouched-for browser's cookies; the attacker asks from his own machine and tells the code."""
    browser = await scene.flow.browser(peer=ATTACKER)
    browser.steal(scene.victims_browser.cookies)
    return await push(scene, told=True, browser=browser)


async def stolen_cookies_and_qr_shown_to_the_victim(scene: Scene) -> str:
    """The same with his QR code: on a browser that is known for the account no number is asked for."""
    browser = await scene.flow.browser(peer=ATTACKER)
    browser.steal(scene.victims_browser.cookies)
    sign_in = await scene.attackers_sign_in(browser)
    if refused(await sign_in.post("qr")):
        return "passkey needed"
    try:
        request = await scene.phone.scan(
            f"{scene.flow.phone_origin}/#q={sign_in.stored['challenge']['handle']}"
        )
        await scene.victim_approves("", request)
    except PhoneError as error:
        return error.code
    return await scene.collected(sign_in)


async def stolen_cookies_used_before_the_victims_next_sign_ins(scene: Scene) -> str:
    """The thief signs in first: the new secret is his and stays vouched for; her passkey then opens one of her own."""
    browser = await scene.flow.browser(peer=ATTACKER)
    browser.steal(scene.victims_browser.cookies)
    first = await push(scene, told=True, browser=browser)
    if first != "token":
        return first
    for _ in range(2):
        scene.flow.world.clock.advance(61)
        hers = await scene.flow.begin(browser=scene.victims_browser, prompt="login")
        assert (await hers.passkey(scene.phone)).status == 200
        assert await scene.collected(hers) == "token"
    scene.on_the_way = 3
    return await push(scene, told=True, browser=browser)


async def she_unlocks_blokkey(scene: Scene, nonce: str) -> Mapping[str, str]:
    """She opens BlokKey, for whatever reason. The taken-over approval service chooses the nonce that it gives then."""

    async def begin_session(deps: Dependencies) -> Ceremony:
        expires_at = deps.clock.now() + deps.limits.ceremony
        made = Ceremony(
            id=new_id(deps.ids), purpose=Purpose.SESSION, server_nonce=nonce, expires_at=expires_at
        )
        await deps.ceremonies.add(made)
        return made

    with mock.patch.object(sessions, "begin_session", begin_session):
        await scene.phone.sign_in()
    assert scene.phone.last_credential is not None
    made: Mapping[str, str] = scene.phone.last_credential["response"]
    return made


def signed_by(made: Mapping[str, str], context: str) -> Proof:
    """What her phone signed, beside a context that it is to have signed."""
    return Proof(
        context=context,
        authenticator_data=made["authenticatorData"],
        client_data_json=made["clientDataJSON"],
        signature=made["signature"],
    )


async def taken_over_approval_gives_a_sign_ins_challenge_as_its_nonce(scene: Scene) -> str:
    """Her phone signs a text of its own in which that is one value. Besides, it signs at an origin of its own."""
    sign_in = await scene.attackers_sign_in()
    await she_unlocks_blokkey(scene, b64u(await sign_in.passkey_challenge()))
    answer = await sign_in.passkey(scene.phone, Tamper(replay=scene.phone.last_credential), challenge=b"-")
    assert answer.status == 403
    assert await scene.collected(sign_in) == "no token"
    return "purpose"


async def _unlocks_for_a_push(scene: Scene, nonce: Callable[[str], str]) -> str:
    """A push of the attacker's waits; the nonce is made of its context with the code, which he reads in his browser."""
    sign_in = await scene.attackers_sign_in()
    page = await sign_in.post("push")
    if refused(page):
        return "passkey needed"
    (request,) = await scene.phone.list()
    context = request.with_code(page.code())
    made = await she_unlocks_blokkey(scene, nonce(context))
    await scene.flow.say("approval", accepted(sign_in, request, scene.phone.key, signed_by(made, context)))
    assert await scene.collected(sign_in) == "no token"
    (reason,) = scene.flow.reasons()
    assert reason == "rejected: proof refused: challenge differs"
    return "purpose"


async def taken_over_approval_gives_a_pushs_digest_as_its_nonce(scene: Scene) -> str:
    """Once it was enough that she unlocked BlokKey: the digest was signed as it came."""
    return await _unlocks_for_a_push(scene, lambda context: b64u(hashlib.sha256(context.encode()).digest()))


async def taken_over_approval_gives_a_whole_context_as_its_nonce(scene: Scene) -> str:
    """Quotation marks and braces in the nonce stay inside its own value."""
    return await _unlocks_for_a_push(scene, lambda context: f'x","purpose":"approve",{context[1:]}')


async def taken_over_approval_shows_a_passkeys_context_as_a_request(scene: Scene) -> str:
    """He has the context of his own sign-in's passkey, which only wsfed's database has, and lists it as a request."""
    sign_in = await scene.attackers_sign_in()
    await sign_in.passkey_challenge()
    world = scene.flow.world
    transaction = await TransactionRepository(world.databases["wsfed"], world.clock).get(sign_in.id)
    assert transaction is not None
    passkey = transaction.passkey
    assert passkey is not None
    request = Request("r", "push", passkey.without_code(), tries_left=3, network_differs=False)
    with pytest.raises(NotShown, match="for sign-in"):
        await scene.phone.approve("", request)
    # And if she had signed it all the same, at the phone's origin:
    made = assertion(scene.phone.used_key(), digest(passkey.without_code()))
    answer = await sign_in.passkey(scene.phone, Tamper(replay=made), challenge=b"-")
    assert answer.status == 403
    assert await scene.collected(sign_in) == "no token"
    return "not shown"


async def taken_over_approval_shows_the_push_as_something_else(scene: Scene) -> str:
    """Another application's name, another purpose, a field more that the page would not show: none is signed."""
    sign_in = await scene.attackers_sign_in()
    page = await sign_in.post("push")
    if refused(page):
        return "passkey needed"
    (request,) = await scene.phone.list()
    for change in (
        {"purpose": "session"},
        {"purpose": "sign-in"},
        {"note": "harmless"},
        {"v": 1},
        {"origin": LOOK_ALIKE},
        {"origin": scene.flow.phone_origin},
        {"code": page.code()},
        {"known_browser": "true"},
    ):
        altered = replace(request, context=rfc8785.dumps({**request.facts, **change}).decode())
        with pytest.raises(NotShown):
            await scene.phone.approve(page.code(), altered)
    harmless = replace(
        request, context=rfc8785.dumps({**request.facts, "application_name": "Lunch menu"}).decode()
    )
    with pytest.raises(PhoneError, match="another request"):  # what is shown is what is signed
        await scene.phone.approve(page.code(), harmless)
    made = scene.phone.last_credential
    assert made is not None
    proof = signed_by(made["response"], harmless.with_code(page.code()))
    await scene.flow.say("approval", accepted(sign_in, request, scene.phone.key, proof))
    assert await scene.collected(sign_in) == "no token"
    return "not shown"


async def script_in_the_phones_origin_asks_with_the_victims_session(scene: Scene) -> str:
    """No answer of approval's becomes script there. If some did, another origin's answer could not be read by it."""
    url, _ = scene.flow.entra.request(ADA)
    fetched = {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
    answer = await scene.victims_browser.get(url, headers={**fetched, "Origin": scene.flow.phone_origin})
    allowed = [name for name in answer.headers if name.lower().startswith("access-control-")]
    assert allowed == []
    scene.on_the_way = len(scene.flow.issuances()) - scene.before
    return "unreadable"


Attack = Callable[[Scene], Awaitable[str]]

TABLE: Mapping[Attack, tuple[str, str, str, str]] = {
    # attack: under open, open with the same network, known browsers, passkeys only
    push_with_guessed_code: ("wrong_code", "other_network", "passkey needed", "passkey needed"),
    push_with_code_told_to_the_victim: ("token", "other_network", "passkey needed", "passkey needed"),
    qr_with_guessed_code: ("wrong_code", "other_network", "passkey needed", "passkey needed"),
    qr_with_code_told_to_the_victim: ("token", "other_network", "passkey needed", "passkey needed"),
    look_alike_relays_push: ("token", "other_network", "passkey needed", "passkey needed"),
    look_alike_in_the_victims_network: ("token", "token", "passkey needed", "passkey needed"),
    look_alike_relays_a_passkey: ("origin", "origin", "origin", "origin"),
    look_alike_asks_for_push_after_a_failed_passkey: (
        "token",
        "other_network",
        "passkey needed",
        "passkey needed",
    ),
    approval_of_the_victims_own_sign_in_used_elsewhere: ("challenge",) * 4,
    stolen_cookies_and_code_told_to_the_victim: ("token", "other_network", "token", "passkey needed"),
    stolen_cookies_and_qr_shown_to_the_victim: ("token", "other_network", "token", "passkey needed"),
    stolen_cookies_used_before_the_victims_next_sign_ins: (
        "token",
        "other_network",
        "token",
        "passkey needed",
    ),
    taken_over_approval_gives_a_sign_ins_challenge_as_its_nonce: ("purpose",) * 4,
    taken_over_approval_gives_a_pushs_digest_as_its_nonce: (
        "purpose",
        "purpose",
        "passkey needed",
        "passkey needed",
    ),
    taken_over_approval_gives_a_whole_context_as_its_nonce: (
        "purpose",
        "purpose",
        "passkey needed",
        "passkey needed",
    ),
    taken_over_approval_shows_a_passkeys_context_as_a_request: ("not shown",) * 4,
    taken_over_approval_shows_the_push_as_something_else: (
        "not shown",
        "not shown",
        "passkey needed",
        "passkey needed",
    ),
    script_in_the_phones_origin_asks_with_the_victims_session: ("unreadable",) * 4,
}
CASES = [
    (attack, policy, outcome)
    for attack, outcomes in TABLE.items()
    for policy, outcome in zip(POLICIES, outcomes, strict=True)
]


def named(attack: Attack, policy: str, outcome: str) -> str:
    """As the test is called: what goes through is said in its name."""
    end = "GOES_THROUGH" if outcome == "token" else f"stopped by {outcome}"
    return f"{attack.__name__} - {policy} - {end}"


@pytest.fixture
async def scene(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Ada has a phone and a browser that her passkey vouched for, a minute ago."""
    peers(monkeypatch)
    phone = await flow.phone(peer=VICTIMS_PHONE)
    browser = await flow.browser(peer=VICTIM)
    enrolling = await flow.begin(browser=browser)
    await enrolling.passkey(phone)
    await enrolling.take()
    flow.world.clock.advance(61)
    return Scene(flow, phone, browser)


@pytest.mark.parametrize(("attack", "policy", "outcome"), CASES, ids=[named(*case) for case in CASES])
async def test_attack(scene: Scene, attack: Attack, policy: str, outcome: str) -> None:
    await scene.flow.policy(**POLICIES[policy])
    scene.before = len(scene.flow.issuances())
    assert await attack(scene) == outcome
    assert len(scene.flow.issuances()) - scene.before - scene.on_the_way == (outcome == "token")


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("method", ["push", "passkey"])
async def test_the_person_herself_at_her_desk_gets_in(scene: Scene, policy: str, method: str) -> None:
    """Without this the table could be green because nothing works."""
    await scene.flow.policy(**POLICIES[policy])
    sign_in = await scene.flow.begin(browser=scene.victims_browser, prompt="login")
    if method == "passkey":
        assert (await sign_in.passkey(scene.phone)).status == 200
    else:
        page = await sign_in.post("push")
        if policy == "passkeys only":
            assert refused(page)
            return
        await scene.phone.approve(page.code())
    assert await scene.collected(sign_in) == "token"


async def test_another_browser_cannot_collect_what_was_approved_in_the_victims(scene: Scene) -> None:
    hers = await scene.flow.begin(browser=scene.victims_browser, prompt="login")
    await scene.victim_approves(await hers.push())
    his = SignIn(scene.flow, await scene.flow.browser(peer=ATTACKER), hers.url, hers.csrf, hers.pending)
    assert "wresult" not in (await his.token()).text
    assert await scene.collected(hers) == "token"


async def test_the_phone_says_that_the_networks_differ_before_it_approves(scene: Scene) -> None:
    """What a victim under the open policy could have seen."""
    sign_in = await scene.attackers_sign_in()
    await sign_in.push()
    (request,) = await scene.phone.list()
    assert request.network_differs
    assert request.facts["address"] == ATTACKER
    assert request.facts["known_browser"] is False
