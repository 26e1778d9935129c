"""What strangers can start in wsfed is bounded, and what they ask for again and again is not made again."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from unittest import mock
from urllib.parse import parse_qsl

import pytest
import segno

from services.wsfed.domain.metadata import federation_metadata
from services.wsfed.routes.live import MAX_STREAMS
from services.wsfed.routes.view_models import qr_picture
from shared.web.sse import LOOK_EVERY
from tests.flows.support import DOMAIN, LOGIN, TENANT, Flow, SignIn, known_browser, peers, start_flow
from tests.wsfed.test_routes import event, stream

METADATA = f"/t/{TENANT}/{DOMAIN}/FederationMetadata/2007-06/FederationMetadata.xml"


# --- live streams -----------------------------------------------------------------------------------------------


async def _refused(sign_in: SignIn) -> bool:
    page = await sign_in.browser.get(f"{sign_in.url}/events")
    assert page.status in (200, 503)
    return page.status == 503


async def test_a_transaction_has_four_streams_and_its_page_then_polls(flow: Flow) -> None:
    sign_in, other = await flow.begin(), await flow.begin()
    async with AsyncExitStack() as streams:
        for _ in range(MAX_STREAMS):
            await event(await streams.enter_async_context(stream(sign_in)))
        assert await _refused(sign_in)
        assert await sign_in.state() == "start"  # what the page asks for instead
        async with stream(other) as reader:
            await event(reader)


async def left(flow: Flow) -> None:
    """The server sees that a connection was closed, and then its streams look."""
    for _ in range(3):
        await flow.world.settle()
    flow.world.clock.advance(LOOK_EVERY)
    await flow.world.settle()


async def test_an_ended_stream_makes_room(flow: Flow) -> None:
    sign_in = await flow.begin()
    for _ in range(3 * MAX_STREAMS):
        async with stream(sign_in) as reader:
            await event(reader)
        await left(flow)


@pytest.fixture
async def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Flow]:
    """A process that holds few streams and takes few requests from one network."""
    monkeypatch.setenv("BLOK365_WSFED_MAX_STREAMS", "3")
    monkeypatch.setenv("BLOK365_REQUESTS_PER_MINUTE", "30")
    monkeypatch.setenv("BLOK365_OWN_NETWORKS", '["203.0.113.0/24"]')
    peers(monkeypatch)
    async with start_flow(tmp_path) as started:
        yield started


async def test_a_process_has_so_many_streams_whoever_opens_them(small: Flow) -> None:
    async with AsyncExitStack() as streams:
        for _ in range(3):
            await event(await streams.enter_async_context(stream(await small.begin())))
        late = await small.begin()
        assert await _refused(late)
        assert await late.state() == "start"


# --- how many requests ------------------------------------------------------------------------------------------


async def test_a_network_that_asks_too_often_is_told_when_to_come_back(small: Flow) -> None:
    flood = await small.browser(peer="198.51.100.7")
    for _ in range(30):
        assert (await flood.get(f"{small.origin}/signin/finished")).status == 200
    neighbour = await small.browser(peer="198.51.100.250")
    for browser in (flood, neighbour):
        page = await browser.get(f"{small.origin}/signin/finished", headers={"Accept-Language": "fr"})
        assert page.status == 429
        assert page.headers["Retry-After"] == "2"
        assert "Trop de demandes" in page.words()
        assert "Réessayez dans 2 secondes" in page.words()
    polled = await flood.get(f"{small.origin}/signin/x/state", headers={"Accept": "application/json"})
    assert (polled.status, polled.headers["Retry-After"]) == (429, "2")
    small.world.clock.advance(2)
    assert (await flood.get(f"{small.origin}/signin/finished")).status == 200
    assert (await flood.get(f"{small.origin}/signin/finished")).status == 429
    other = await small.browser(peer="198.51.101.7")
    assert (await other.get(f"{small.origin}/signin/finished")).status == 200


@pytest.mark.parametrize("peer", ["203.0.113.5", "10.0.0.7", ""])
async def test_own_networks_and_unknown_addresses_are_not_limited(small: Flow, peer: str) -> None:
    """Behind a proxy that was not named everybody has its address: they must not share one person's share."""
    browser = await small.browser(peer=peer)
    for _ in range(100):
        assert (await browser.get(f"{small.origin}/signin/finished")).status == 200


async def test_forged_x_forwarded_for_gets_no_further_requests(small: Flow) -> None:
    browser = await small.browser(peer="198.51.100.7")
    seen = [
        (
            await browser.get(
                f"{small.origin}/signin/finished", headers={"X-Forwarded-For": f"203.0.113.{number}"}
            )
        ).status
        for number in range(40)
    ]
    assert seen.count(200) == 30


# --- what is made once ------------------------------------------------------------------------------------------


async def test_metadata_is_signed_once_for_each_set_of_keys(flow: Flow) -> None:
    browser = await flow.browser()
    with mock.patch(
        "services.wsfed.routes.metadata.federation_metadata", wraps=federation_metadata
    ) as signed:
        first = await browser.get(flow.origin + METADATA)
        for _ in range(20):
            assert (await browser.get(flow.origin + METADATA)).text == first.text
        assert signed.call_count == 1
        tag = first.headers["Etag"]
        assert first.headers["Cache-Control"] == "no-cache"
        for known in (tag, f'"other", W/{tag}', "*"):
            again = await browser.get(flow.origin + METADATA, headers={"If-None-Match": known})
            assert (again.status, again.text, again.headers["Etag"]) == (304, "", tag)
        assert (await browser.get(flow.origin + METADATA, headers={"If-None-Match": '"x"'})).status == 200
        await flow.tenant("fabrikam", "fabrikam.example")
        other = await browser.get(flow.origin + METADATA.replace("contoso", "fabrikam"))
        assert other.headers["Etag"] != tag
        assert signed.call_count == 2


async def test_a_qr_code_is_drawn_once_however_often_its_page_is_asked_for(flow: Flow) -> None:
    sign_in = await flow.begin()
    qr_picture.cache_clear()  # the handles of tests are the same in each of them
    with mock.patch.object(segno, "make", wraps=segno.make) as drawn:
        await sign_in.qr()
        pictures = {
            (await sign_in.page()).text.partition("<path transform")[2].partition("/>")[0] for _ in range(5)
        }
        assert (len(pictures), drawn.call_count) == (1, 1)
        await sign_in.qr()
        assert drawn.call_count == 2


# --- a push that starts by itself -------------------------------------------------------------------------------

ENTRA = {"Referer": "https://login.microsoftonline.com/"}
OURS = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.mark.parametrize(
    ("headers", "starts"),
    [
        (ENTRA, True),
        ({"Referer": LOGIN}, True),
        ({**ENTRA, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, True),
        (OURS, True),
        ({}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Referer": "https://evil.example/"}, False),
        ({"Referer": "https://login.microsoftonline.com.evil.example/"}, False),
        ({"Referer": "https://login.microsoftonline.com@evil.example/"}, False),
        ({"Referer": "http://login.microsoftonline.com/"}, False),
        ({"Referer": "https://[login.microsoftonline.com/"}, False),
        ({"Referer": "null"}, False),
        ({**ENTRA, "Sec-Fetch-Dest": "iframe"}, False),
        ({**ENTRA, "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}, False),
        ({**OURS, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, False),
    ],
)
async def test_a_push_starts_by_itself_only_when_entra_or_we_led_here(
    flow: Flow, headers: Mapping[str, str], starts: bool
) -> None:
    phone = await flow.phone()
    await phone.turn_on_notifications()
    browser = (await known_browser(flow, phone)).browser
    url, _ = flow.entra.request("ada@contoso.example")
    page = await browser.get(url, headers=headers)
    assert page.status == 200
    assert ("data-autostart" in page.text) is starts
    # The page's address is no way round: what counts was kept when the transaction was made.
    again = await browser.get(page.url, headers=ENTRA)
    assert ("data-autostart" in again.text) is starts
    assert any(form.action.endswith("/push") for form in page.forms())


@pytest.mark.parametrize("headers", [ENTRA, OURS])
async def test_a_push_starts_by_itself_in_no_sign_in_that_somebody_else_has_posted(
    flow: Flow, headers: Mapping[str, str]
) -> None:
    """A program can say that it comes from Entra. The sign-in that it posts is nobody's until a browser opens it, and a
    page of the attacker's leads Ada's there.
    """
    phone = await flow.phone()
    await phone.turn_on_notifications()
    victims = (await known_browser(flow, phone)).browser
    url, _ = flow.entra.request("ada@contoso.example")
    address, _, query = url.partition("?")
    attackers = await flow.browser()
    posted = await attackers.post(address, dict(parse_qsl(query)), headers=headers, follow=False)
    assert posted.status == 303
    for _ in range(2):
        page = await victims.get(f"{flow.origin}{posted.headers['Location']}", headers=headers)
        assert any(form.action.endswith("/push") for form in page.forms())
        assert "data-autostart" not in page.text


async def test_a_push_starts_by_itself_only_where_it_notifies_somebody(flow: Flow) -> None:
    phone = await flow.phone()
    browser = (await known_browser(flow, phone)).browser
    url, _ = flow.entra.request("ada@contoso.example")
    starts = []
    for step in (None, phone.turn_on_notifications, phone.unsubscribe):
        if step is not None:
            await step()
        page = await browser.get(url, headers=ENTRA)
        starts.append("data-autostart" in page.text)
        first = next(form for form in page.forms() if form.action.endswith(("/push", "/qr")))
        assert first.action.endswith("/push" if starts[-1] else "/qr")
        assert ("Your phone gets no notifications." in page.words()) is not starts[-1]
    assert starts == [False, True, False]


async def test_a_push_starts_by_itself_in_no_browser_that_is_not_known(flow: Flow) -> None:
    browser = await flow.browser()
    url, _ = flow.entra.request("ada@contoso.example")
    assert "data-autostart" not in (await browser.get(url, headers=ENTRA)).text
