"""A tenant whose directory is in another of Microsoft's clouds."""

import pytest

from services.admin import handlers as admin
from shared.clouds import CLOUDS
from shared.errors import BadInput
from tests.flows.support import ADA, REALM, TENANT, Flow, token_form
from tests.wsfed.raw_http import request

CHINA = CLOUDS["china"]


async def test_tenant_in_china_gets_tokens_for_china_and_no_others(flow: Flow) -> None:
    await admin.configure_tenant(flow.admin, TENANT, cloud="china")
    await flow.world.settle()
    flow.world.clock.advance(10)  # wsfed holds a tenant for seconds
    phone, browser = await flow.phone(), await flow.browser()
    assert (await browser.get(flow.origin + request(wtrealm=REALM))).status == 400
    worldwide = CLOUDS["worldwide"].reply_urls[0]
    assert (await browser.get(flow.origin + request(wtrealm=CHINA.realm, wreply=worldwide))).status == 400
    page = await browser.get(flow.origin + request(wtrealm=CHINA.realm))
    page = await browser.submit(page.form("/push"))
    await phone.approve(page.code())
    page = await browser.get(page.url)
    form = token_form(await browser.submit(page.form("/token")))
    assert form.action == CHINA.reply_urls[0]
    assert f"<saml:Audience>{CHINA.realm}</saml:Audience>" in form.fields["wresult"]
    left = await browser.get(f"{flow.origin}/t/{TENANT}/wsfed?wa=wsignout1.0")
    assert CHINA.start_url in left.text
    assert ADA in form.fields["wresult"]


async def test_a_tenant_is_worldwide_unless_it_says_otherwise(flow: Flow) -> None:
    assert (await admin.show_tenant(flow.admin, TENANT)).cloud == "worldwide"
    with pytest.raises(BadInput) as refused:
        await admin.configure_tenant(flow.admin, TENANT, cloud="mars")  # type: ignore[arg-type]
    assert "usgov" in refused.value.remedy
