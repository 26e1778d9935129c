"""docs/try-it.md in a real Chromium: from the front page of `make run` to the signed-in page, in English and French.

The whole of it as a newcomer has it: the real program, Ada's phone in another tab with Chrome's virtual authenticator,
and the stand-in for Microsoft 365.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from deploy.local import backing
from deploy.local.backing import BackingService
from deploy.loopback import LoopbackResolver
from deploy.standins.phone.phone import SoftPhone
from shared.ids import SystemIds
from tests.approval.handset import virtual_authenticator
from tests.faults.support import owned
from tests.programs import LISTENS, blok365, make_run, on, three_ports

pytestmark = [
    pytest.mark.integration,
    pytest.mark.xdist_group("chromium"),
    pytest.mark.asyncio(loop_scope="session"),
]


@dataclass(frozen=True)
class Words:
    """What a person presses and reads in one language."""

    locale: str
    give: str
    sign_in: str
    signed_in: str
    has_signed_in: str


ENGLISH = Words(
    locale="en-US",
    give="Give Ada a phone in this browser",
    sign_in="Sign in as Ada",
    signed_in="You're signed in to Microsoft\xa0365",
    has_signed_in="Ada has signed in.",
)
FRENCH = Words(
    locale="fr-FR",
    give="Donner un téléphone à Ada dans ce navigateur",
    sign_in="Se connecter en tant qu'Ada",
    signed_in="Vous êtes connecté à Microsoft\xa0365",
    has_signed_in="Ada s'est connectée.",
)


@pytest.fixture(scope="module")
def mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackingService]:
    with owned(backing.mongod(tmp_path_factory.mktemp("mongod"))) as part:
        yield part


@asynccontextmanager
async def window(chromium: Browser, words: Words) -> AsyncIterator[BrowserContext]:
    context = await chromium.new_context(locale=words.locale, viewport={"width": 1000, "height": 900})
    yield context
    await context.close()


@pytest.mark.parametrize(
    "words", [ENGLISH, pytest.param(FRENCH, marks=pytest.mark.slow)], ids=["English", "French"]
)
async def test_from_the_front_page_to_the_signed_in_page(
    chromium: Browser, mongod: BackingService, tmp_path: Path, words: Words
) -> None:
    port = three_ports()
    async with make_run(tmp_path, port, **on(mongod)) as program, window(chromium, words) as context:
        await program.said(LISTENS)
        front = await context.new_page()
        faults: list[str] = []
        front.on("pageerror", lambda error: faults.append(str(error)))
        await front.goto(f"http://localhost:{port}/")
        # 1: the invitation opens in a tab of its own, which becomes the phone
        async with context.expect_page() as opened:
            await front.get_by_role("button", name=words.give).click()
        phone = await opened.value
        await virtual_authenticator(phone)
        set_up = phone.locator("[data-form=enrol] button:not([data-do]):visible")
        no_authenticator = phone.locator("[data-view=unsupported]:visible")
        await set_up.or_(no_authenticator).first.wait_for()
        if await no_authenticator.count():  # the page was there before the authenticator
            await phone.reload()
        await set_up.click()
        await expect(front.locator("#walk-phone")).to_have_attribute("data-state", "done")
        await expect(front.locator("#walk-sign-in")).to_have_attribute("data-state", "todo")
        await expect(front.locator("#walk-provisioning")).to_have_attribute("data-state", "todo")
        await expect(front.locator("#walk-properties")).to_contain_text('"client_secret"')
        # 2: sign in
        async with context.expect_page() as started:
            await front.get_by_role("link", name=words.sign_in).click()
        desk = await started.value
        await desk.locator("form[action$='/push'] button").click()
        code = "".join((await desk.locator("[data-code]").inner_text()).split())
        await to_request(phone)
        await phone.locator("[data-view=request] input").fill(code)
        await phone.locator("[data-form=approve] .button").first.click()
        await desk.wait_for_url(f"http://localhost:{port + 1}/login.srf")
        await expect(desk.get_by_role("heading", level=1)).to_have_text(words.signed_in)
        assert await desk.locator("html").get_attribute("lang") == words.locale[:2]
        await expect(front.get_by_text(words.has_signed_in)).to_be_visible()
        assert faults == []
        await program.stopped()


async def to_request(phone: Page) -> None:
    """From "this phone is ready" to the request that waits: go on, and unlock where that is asked for."""
    request = phone.locator("[data-view=request]:not([hidden])")
    onward = phone.locator(":is([data-do=again], [data-do=unlock]):not([aria-disabled=true]):visible")
    await request.or_(onward).first.wait_for()
    while not await request.count():
        await onward.first.click()
        await request.or_(onward).first.wait_for()


@pytest.mark.slow
async def test_the_front_page_follows_what_ada_has_in_software(
    chromium: Browser, mongod: BackingService, tmp_path: Path
) -> None:
    port = three_ports()
    async with (
        make_run(tmp_path, port, **on(mongod)) as program,
        window(chromium, ENGLISH) as context,
        SoftPhone(ids=SystemIds()) as phone,
    ):
        await program.said(LISTENS)
        front = await context.new_page()
        await front.goto(f"http://localhost:{port}/")
        await expect(front.locator("#walk-phone")).to_have_attribute("data-state", "todo")
        link = await blok365(
            tmp_path, "account", "invite", "ada@contoso.example", "-t", "contoso", "--show-link"
        )
        await phone.enrol(link.strip())
        await expect(front.locator("#walk-phones")).to_have_text("Software phone")
        await front.set_viewport_size({"width": 320, "height": 700})
        assert await front.evaluate("document.documentElement.scrollWidth") == 320
        await program.stopped()


@pytest.mark.slow
async def test_the_walk_is_for_the_front_page_alone(mongod: BackingService, tmp_path: Path) -> None:
    """Nobody elsewhere gets an invitation: not another site, not a page of our other hosts, not another host name."""
    port = three_ports()
    connector = aiohttp.TCPConnector(resolver=LoopbackResolver())
    async with (
        make_run(tmp_path, port, **on(mongod)) as program,
        aiohttp.ClientSession(connector=connector) as client,
    ):
        await program.said(LISTENS)
        front = f"http://localhost:{port}"

        async def invited(at: str, **headers: str) -> int:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            async with client.post(f"{at}/walk/phone", headers=named) as answer:
                return answer.status

        assert await invited(front, Origin=front, Sec_Fetch_Site="same-origin") == 200
        assert await invited(front, Origin="https://evil.example", Sec_Fetch_Site="cross-site") == 403
        assert (
            await invited(front, Origin=f"http://key.id.localhost:{port}", Sec_Fetch_Site="same-site") == 403
        )
        assert await invited(front, Origin="null", Sec_Fetch_Site="cross-site") == 403
        for host in ("id", "key.id", "console", "kiosk"):
            assert await invited(f"http://{host}.localhost:{port}") in (404, 405)
        assert await invited(front, Host=f"evil.example:{port}") in (404, 421)
        await program.stopped()
