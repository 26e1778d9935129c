"""A further phone on the real page: two phones, each with an authenticator of its own (docs/flows/further-phone.md)."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.approval.handset import Handset, virtual_authenticator

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.xdist_group("chromium-phone"),
    pytest.mark.asyncio(loop_scope="session"),
]


@pytest_asyncio.fixture(loop_scope="session")
async def other(handset: Handset, chromium: Browser) -> AsyncIterator[Page]:
    """A second phone, which has never been here."""
    context = await chromium.new_context(viewport={"width": 390, "height": 844}, locale="en-GB")
    page = await context.new_page()
    await virtual_authenticator(page)
    yield page
    await context.close()


async def heading(page: Page, text: str) -> None:
    await expect(page.locator("section:not([hidden]) h1")).to_contain_text(text)


async def link(handset: Handset) -> str:
    """What the code says that the phone shows."""
    await handset.page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=handset.origin)
    await handset.press("My phones")
    await handset.press("Add another phone")
    await handset.heading("Add another phone")
    assert await handset.page.locator("[data-picture] path").get_attribute("d")
    await handset.press("Copy link")
    return str(await handset.page.evaluate("navigator.clipboard.readText()"))


OTHER_SIGNATURES = """() => {
    const sign = SubtleCrypto.prototype.sign;
    SubtleCrypto.prototype.sign = async function (...asked) {
        const made = new Uint8Array(await sign.apply(this, asked));
        made[0] ^= 1;
        return made.buffer;
    };
}"""
"""Safari signs the same octets with the same Ed25519 key differently each time (WebKit bug 262499)."""


FORGED_ENDORSEMENT = """() => {
    window.honest = window.fetch;
    window.fetch = async (address, ...more) => {
        const answer = await window.honest(address, ...more);
        if (!/\\/offers\\/[^/]+$/.test(address)) return answer;
        const forged = { ...(await answer.json()), endorsement: "A".repeat(86) };
        return new Response(JSON.stringify(forged), { status: answer.status, headers: answer.headers });
    };
}"""
"""What a taken-over approval says, which does not have the secret that the code holds."""


async def test_a_further_phone_is_set_up_by_the_one_at_hand(handset: Handset, other: Page) -> None:
    await handset.enrol_and_unlock()
    await handset.page.evaluate(OTHER_SIGNATURES)
    await handset.page.clock.set_fixed_time(handset.approval.world.clock.now())
    shown = await link(handset)
    await other.goto(shown)
    await heading(other, "Set up this phone")
    await other.get_by_label("Name of this phone").fill("Second phone")
    await other.get_by_role("button", name="Set up").click()
    await heading(other, "Enter these digits on your other phone")
    digits = await other.locator("[data-digits]").inner_text()
    assert len(digits) == 6  # a copy holds no gap
    await expect(other.locator("[data-digits] .group")).to_have_count(2)
    await handset.page.get_by_label("Digits shown on the new phone").fill(
        "000000" if digits != "000000" else "1" * 6
    )
    await handset.press("Add this phone")
    await expect(handset.page.locator("#remark")).to_contain_text("These aren't the digits")
    assert len(await handset.approval.devices_told()) == 1
    await handset.page.get_by_label("Digits shown on the new phone").fill(f"{digits[:3]} {digits[3:]}")
    await handset.page.evaluate(FORGED_ENDORSEMENT)
    await handset.press("Add this phone")
    await expect(handset.page.locator("#remark")).to_contain_text("These aren't the digits")
    await handset.page.evaluate("() => { window.fetch = window.honest; }")
    await handset.press("Add this phone")
    await handset.heading("The new phone was added")
    await heading(other, "This phone is ready")
    first, second = await handset.approval.devices_told()
    assert (second.endorsement.kind, second.endorsement.by) == ("authenticator", first.device)
    await handset.approval.confirm()
    await other.get_by_role("button", name="Back to requests").click()
    await other.get_by_role("button", name="Unlock").click()
    await heading(other, "No requests")
    assert await other.evaluate("location.hash") == ""
    await other.goto("about:blank")
    await other.goto(shown)
    await heading(other, "This code can't be used any more")
