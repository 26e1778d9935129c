"""What `make run` and `make status` print: what has happened in the demo tenant, and where everything is."""

from datetime import timedelta
from pathlib import Path

from deploy.local import tenant
from deploy.local.run_folder import RunningNow
from deploy.local.status import summary
from services.admin import handlers
from shared.contracts.wsfed import DomainUsed
from tests.admin.conftest import AdminSystem
from tests.world import START

FOUND = RunningNow(
    1,
    {"origin": "http://id.localhost:9365", "console_origin": "http://console.localhost:9365"},
    front="http://localhost:9365",
    entra="http://localhost:9366",
    graph="http://127.0.0.1:9367",
)


async def test_it_says_how_far_each_domain_is(system: AdminSystem, tmp_path: Path) -> None:
    await handlers.add_domain(system.deps, tenant.TENANT, tenant.MANAGED_DOMAIN)
    before = await summary(system.deps, tmp_path, FOUND)
    assert f"{tenant.DOMAIN}: no request yet" in before
    assert f"{tenant.MANAGED_DOMAIN}: no request yet" in before
    used = DomainUsed(version=1, domain=tenant.MANAGED_DOMAIN, first_request_at=START)
    await system.world.say("wsfed", used)
    await system.world.settle()
    assert (
        f"{tenant.MANAGED_DOMAIN}: first request 2026-03-02 08:00 UTC, nobody has signed in yet"
        in await summary(system.deps, tmp_path, FOUND)
    )
    signed_in = used.model_copy(update={"version": 2, "first_sign_in_at": START + timedelta(minutes=1)})
    await system.world.say("wsfed", signed_in)
    await system.world.settle()
    after = await summary(system.deps, tmp_path, FOUND)
    assert f"{tenant.MANAGED_DOMAIN}: first sign-in 2026-03-02 08:01 UTC" in after
    assert f"{tenant.DOMAIN}: no request yet" in after


async def test_it_names_the_stand_ins_with_their_ports(system: AdminSystem, tmp_path: Path) -> None:
    text = await summary(system.deps, tmp_path, FOUND)
    assert "http://localhost:9366/powershell" in text
    assert "http://127.0.0.1:9367/" in text
    text = await summary(system.deps, tmp_path, RunningNow(1, FOUND.settings, FOUND.front, FOUND.entra))
    assert "Microsoft Graph" not in text, "a real one is not ours to name"
