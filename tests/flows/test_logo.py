"""docs/flows/logo.md, step by step, and what attackers try there. The numbers are those of the page."""

import base64
import hashlib
import zlib
from collections.abc import Mapping

import pytest

from services.admin.domain.logos import logo_of_pixels
from services.admin.domain.roles import Actor, Role
from services.admin.handlers import console_logo, recording
from services.admin.handlers.tenants import show_tenant
from services.wsfed.store import LogoRepository
from shared.contracts.admin import LogoChanged
from shared.errors import BadInput, Conflict, Forbidden, NotFound
from shared.ids import b64u
from shared.picture import check_png, encode_png
from tests.flows.support import ADA, TENANT, Flow, known_browser

RED = bytes([200, 0, 0, 255])


def actor(flow: Flow, role: Role = Role.ADMINISTRATOR, tenant: str = TENANT) -> Actor:
    now = flow.world.clock.now()
    return Actor("olga", "Olga Owner", "olga@admins.example", tenant, role, None, "session", now, "unknown")


def posted(pixels: bytes = RED * 8, width: int = 4, height: int = 2) -> dict[str, str]:
    """What the page's script sends."""
    return {"width": str(width), "height": str(height), "pixels": b64u(zlib.compress(pixels))}


async def choose(flow: Flow, pixels: bytes = RED * 8) -> str:
    """Steps 2 to 4; the logo's name."""
    version = (await show_tenant(flow.admin, TENANT)).version
    await console_logo.set_logo(flow.admin, actor(flow), **posted(pixels), expected_version=version)
    await flow.world.settle()
    flow.world.clock.advance(6)  # what a replica holds of a tenant
    return (await show_tenant(flow.admin, TENANT)).logo


async def fetched(flow: Flow, path: str) -> tuple[int, Mapping[str, str], bytes]:
    host = {"Host": flow.origin.partition("//")[2]}
    async with flow.http() as http, http.get(f"http://socket{path}", headers=host) as answer:
        return answer.status, answer.headers, await answer.read()


async def test_steps_2_to_5_the_logo_stands_on_the_sign_in_page(flow: Flow) -> None:
    name = await choose(flow)
    sign_in = await flow.begin()
    page = await sign_in.page()
    path = f"/t/{TENANT}/logo/{name}"
    assert f'<img class="logo" src="{path}" alt="">' in page.text
    status, headers, octets = await fetched(flow, path)
    assert (status, octets) == (200, encode_png(RED * 8, 4, 2))
    assert headers["Content-Type"] == "image/png"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert "Set-Cookie" not in headers
    changes = (await recording.list_changes(flow.admin, TENANT)).changes
    assert [(each.outcome, dict(each.after)) for each in changes] == [("done", {"logo": "set"})]


async def test_step_3_another_one_has_another_name_and_none_leaves_the_initials(flow: Flow) -> None:
    first = await choose(flow)
    second = await choose(flow, RED * 4 + bytes(16))
    third = await choose(flow, RED * 2 + bytes(24))
    assert len({first, second, third}) == 3
    assert (await fetched(flow, f"/t/{TENANT}/logo/{first}"))[0] == 404
    assert (await fetched(flow, f"/t/{TENANT}/logo/{second}"))[0] == 200, (
        "a page may have named it a moment ago"
    )
    version = (await show_tenant(flow.admin, TENANT)).version
    await console_logo.remove_logo(flow.admin, actor(flow), expected_version=version)
    await flow.world.settle()
    flow.world.clock.advance(6)
    for gone in (second, third):
        assert (await fetched(flow, f"/t/{TENANT}/logo/{gone}"))[0] == 404
    page = await (await flow.begin()).page()
    assert "/logo/" not in page.text
    with pytest.raises(NotFound):
        await console_logo.show_logo(flow.admin, actor(flow))
    await choose(flow)  # and one again


async def test_step_3_killed_between_the_two_writes_nothing_is_shown(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def killed(*_: object, **__: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(console_logo, "configure_tenant", killed)
        with pytest.raises(RuntimeError):
            await choose(flow)
    await flow.world.settle()
    assert "/logo/" not in (await (await flow.begin()).page()).text
    assert await choose(flow)


async def test_step_3_killed_between_the_two_writes_the_one_before_is_shown_still(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def killed(*_: object, **__: object) -> None:
        raise RuntimeError("killed")

    name = await choose(flow)
    for tries in (4, 2):  # the second time, too: what is kept is the one that is named
        with monkeypatch.context() as patch:
            patch.setattr(console_logo, "configure_tenant", killed)
            with pytest.raises(RuntimeError):
                await choose(flow, RED * tries + bytes(32 - 4 * tries))
        await flow.world.settle()
        assert f"/t/{TENANT}/logo/{name}" in (await (await flow.begin()).page()).text
        status, _, octets = await fetched(flow, f"/t/{TENANT}/logo/{name}")
        assert (status, octets) == (200, encode_png(RED * 8, 4, 2))
        assert await console_logo.show_logo(flow.admin, actor(flow)) == octets
    assert await choose(flow, RED * 4 + bytes(16)) != name


async def test_step_3_two_administrators_at_once_the_second_is_told(flow: Flow) -> None:
    version = (await show_tenant(flow.admin, TENANT)).version
    for tries in range(2):
        if tries == 0:
            await console_logo.set_logo(flow.admin, actor(flow), **posted(), expected_version=version)
        else:
            with pytest.raises(Conflict):
                await console_logo.set_logo(
                    flow.admin, actor(flow), **posted(RED * 4 + bytes(16)), expected_version=version
                )
    await flow.world.settle()
    flow.world.clock.advance(6)
    name = (await show_tenant(flow.admin, TENANT)).logo
    assert (await fetched(flow, f"/t/{TENANT}/logo/{name}"))[0] == 200, "the first one's is shown still"


@pytest.mark.parametrize("role", [Role.HELP_DESK, Role.BADGE_DESK, Role.AUDITOR, Role.READ_ONLY])
async def test_step_2_who_may_not_change_applications_changes_no_logo(flow: Flow, role: Role) -> None:
    with pytest.raises(Forbidden):
        await console_logo.set_logo(flow.admin, actor(flow, role), **posted(), expected_version=1)
    with pytest.raises(Forbidden):
        await console_logo.remove_logo(flow.admin, actor(flow, role), expected_version=1)


@pytest.mark.parametrize(
    "changes",
    [
        {"pixels": ""},
        {"pixels": "é"},
        {"pixels": b64u(b"<svg onload=alert(1)>")},
        {"pixels": b64u(base64.b64decode("iVBORw0KGgo="))},
        {"pixels": b64u(zlib.compress(bytes(50_000_000), 9))},
        {"pixels": b64u(zlib.compress(RED * 8)[:-1])},
        {"pixels": b64u(zlib.compress(RED * 9))},
        {"width": "321"},
        {"width": "0"},
        {"width": "-4"},
        {"width": "4.0"},
        {"width": "\u0664"},
        {"width": ""},
        {"height": "97"},
        {"height": "2e0"},
        {"width": "8"},
    ],
)
def test_step_2_whatever_is_no_picture_gets_a_clear_answer(changes: dict[str, str]) -> None:
    with pytest.raises(BadInput):
        logo_of_pixels(**{**posted(), **changes})
    assert check_png(logo_of_pixels(**posted())) == (4, 2)


async def test_step_4_a_taken_over_admin_has_browsers_decode_nothing_but_our_own_kind(flow: Flow) -> None:
    """Not that it needed to: it can invite itself. But every browser of the tenant would decode that file."""
    kept = LogoRepository(flow.world.databases["wsfed"])
    svg = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    for octets in (svg, encode_png(RED * 8, 4, 2) + svg, b"\xff\xd8\xff\xe0" + bytes(100)):
        name = b64u(hashlib.sha256(octets).digest())[:22]
        await flow.say("admin", LogoChanged(version=7, name=name, png=base64.b64encode(octets).decode()))
    good = base64.b64encode(encode_png(RED * 8, 4, 2)).decode()
    await flow.say("admin", LogoChanged(version=8, name="A" * 22, png=good))
    await flow.say("admin", LogoChanged(version=9, name="", png=good))
    await flow.say("admin", LogoChanged(version=9, name="A" * 22, png="not base64"))
    true = b64u(hashlib.sha256(encode_png(RED * 8, 4, 2)).digest())[:22]
    for before, octets in ((true, svg), ("A" * 22, base64.b64decode(good)), ("", base64.b64decode(good))):
        said = LogoChanged(
            version=10,
            name=true,
            png=good,
            previous_name=before,
            previous_png=base64.b64encode(octets).decode(),
        )
        await flow.say("admin", said)
    assert not await kept.of(TENANT)
    assert len(flow.reasons()) == 9


async def test_step_4_old_and_other_tenants_logos(flow: Flow) -> None:
    name = await choose(flow)
    (first,) = flow.sent("admin.logo.changed.v1")
    await choose(flow, RED * 4 + bytes(16))
    second = await choose(flow, RED * 2 + bytes(24))
    await flow.publish(first)  # late
    assert (await fetched(flow, f"/t/{TENANT}/logo/{second}"))[0] == 200
    for path in (
        f"{TENANT}/logo/{name}",
        f"fabrikam/logo/{second}",
        f"{TENANT}/logo/%2e%2e",
        "nowhere/logo/x",
    ):
        assert (await fetched(flow, f"/t/{path}"))[0] == 404, path


async def test_step_5_every_page_of_the_organisation_shows_it(flow: Flow) -> None:
    phone = await flow.phone()
    name = await choose(flow)
    path = f"/t/{TENANT}/logo/{name}"
    sign_in = await known_browser(flow, phone)
    assert path in (await sign_in.page()).text
    await phone.approve(await sign_in.push())
    assert path in (await sign_in.token()).text
    own = await sign_in.browser.get(f"{flow.origin}/t/{TENANT}/me?login_hint={ADA}")
    assert path in own.text
