"""Accounts under a federated root domain: the root's issuer speaks for them until the sub-domain has its own."""

import pytest

from deploy.standins.entra.errors import Code
from deploy.standins.entra.verify import EntraError
from services.admin import handlers as admin
from tests.flows.support import DOMAIN, TENANT, Flow

EVE = "eve@emea.contoso.example"
SUB_DOMAIN = "emea.contoso.example"


async def test_account_of_a_sub_domain_has_the_roots_issuer(flow: Flow) -> None:
    await flow.person(EVE)
    phone = await flow.phone(EVE)
    sign_in = await flow.begin(EVE)
    await phone.approve(await sign_in.push())
    user = await flow.entra.verify(await sign_in.take(), sign_in.pending)
    assert user.upn == EVE
    assert user.issuer == f"{flow.origin}/t/{TENANT}/{DOMAIN}"


async def test_promoted_sub_domain_has_its_own_issuer(flow: Flow) -> None:
    await flow.person(EVE)
    phone = await flow.phone(EVE)
    before = await flow.begin(EVE)
    await phone.approve(await before.push())
    under_root = await before.take()
    await admin.add_domain(flow.admin, TENANT, SUB_DOMAIN)
    await flow.world.settle()
    flow.world.clock.advance(10)  # wsfed holds a tenant for seconds
    with pytest.raises(EntraError) as refused:
        await flow.entra.verify(under_root, before.pending)
    assert refused.value.code is Code.UPN_DOMAIN
    sign_in = await flow.begin(EVE)
    await phone.approve(await sign_in.push())
    user = await flow.entra.verify(await sign_in.take(), sign_in.pending)
    assert user.issuer == f"{flow.origin}/t/{TENANT}/{SUB_DOMAIN}"
