"""What a sign-in meets when its application is taken away half-way."""

from dataclasses import replace

from services.admin.domain import Tenant
from tests.flows.support import ADA, Flow


async def take_away(flow: Flow) -> None:
    """The tenant has no application any more."""
    tenant: Tenant | None = await flow.admin.tenants.get("contoso")
    assert tenant is not None
    after = replace(tenant, applications=(), version=tenant.version + 1)
    assert await flow.admin.tenants.replace(after, flow.admin.tenant_message(after))
    await flow.world.settle()


async def test_page_and_token_say_so_and_offer_a_way_on(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin(ADA)
    await phone.approve(await sign_in.push())
    await take_away(flow)
    for answer in (await sign_in.page(), await sign_in.token()):
        assert answer.status == 410
        assert "application was removed" in answer.words()
        assert "wresult" not in answer.text
    assert flow.issuances() == []


async def test_new_requests_find_no_application(flow: Flow) -> None:
    await take_away(flow)
    browser = await flow.browser()
    page = await browser.get(flow.entra.request(ADA)[0])
    assert page.status == 404
    assert "no application yet" in page.words()
