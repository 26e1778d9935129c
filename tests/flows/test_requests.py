"""Recorded shapes of Entra's requests, each with the session that the browser has and what must come of it.

One row is one request in a browser of its own. `Token`: answered at once from the session, with these claims, and
accepted by Entra's stand-in. `Page`: the person must sign in. `Refused`: a page with that status, and no token.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import pytest
import pytest_asyncio

from deploy.standins.entra.requests import RequestOptions, passive_fields, remember, to_url
from services.wsfed import app as wsfed_app
from services.wsfed.domain.authentication import Method, VerifiedAuthentication
from services.wsfed.domain.request import parse_sign_in
from services.wsfed.domain.session import Answer, Session, cookie_name, session_id
from services.wsfed.ports import Dependencies
from shared.clouds import CLOUDS
from shared.ids import new_secret
from tests.flows.support import ADA, BOB, LOGIN, TENANT, Flow, start_flow, token_form

PASSWORD = "http://schemas.microsoft.com/ws/2008/06/identity/authenticationmethod/password"
PASSWORD_HTTPS = PASSWORD.replace("http:", "https:", 1)
MFA = "http://schemas.microsoft.com/claims/multipleauthn"
CCS = "https://ccs.login.microsoftonline.com/ccs/login.srf"


@dataclass(frozen=True)
class Has:
    """A session in the browser: how old in minutes, how made, whose."""

    age: float = 1
    method: Method = Method.BLOKKEY_PUSH
    upn: str = ADA
    length: float = 8 * 60
    idle: float = 1
    tokens: int = 0
    """Issued just now for requests like the row's, one in each of the last seconds."""
    apart: float = 1
    """Seconds between them."""
    other_wants: bool = False
    """Those tokens were for requests that wanted something else."""


@dataclass(frozen=True)
class Token:
    """Answered at once."""

    mfa: bool = True
    action: str = LOGIN


@dataclass(frozen=True)
class Page:
    """The sign-in page, with this name in it."""

    name: str | None = ADA


@dataclass(frozen=True)
class Refused:
    """A page that says what to do next."""

    status: int = 400
    says: str = ""


@dataclass(frozen=True)
class Row:
    """One request."""

    name: str
    session: Has | None
    outcome: Token | Page | Refused
    upn: str = ADA
    options: RequestOptions = field(default_factory=lambda: RequestOptions())
    change: tuple[tuple[str, str | None], ...] = ()
    """Parameters set (or, None, left out) afterwards."""
    extra: tuple[tuple[str, str], ...] = ()
    """Parameters added, doubled or not."""
    post: bool = False


BADGE = Has(method=Method.BLOKBADGE)
BIG = "LoginOptions=3&estsredirect=2&estsrequest=" + "A" * 2048


def row(name: str, session: Has | None, outcome: Token | Page | Refused, **more: Any) -> Row:
    fields = {k: more.pop(k) for k in list(more) if k in ("upn", "change", "extra", "post")}
    return Row(name, session, outcome, options=cast(RequestOptions, more), **fields)


ROWS = [
    # the everyday ones
    row("first sign-in", None, Page()),
    row("warm session", Has(), Token()),
    row("session of an hour", Has(age=60), Token()),
    row("session just before its end", Has(age=479), Token()),
    row("session past its length", Has(age=481), Page()),
    row("session of four hours from before, of eight since", Has(age=241, length=240), Page()),
    row("session of twelve hours from before, of eight since", Has(age=481, length=720), Page()),
    row("idle too long", Has(age=130, idle=121), Page()),
    row("idle almost too long", Has(age=130, idle=119), Token()),
    row("no user name", Has(), Page(name=None), upn=""),
    row("somebody else's session", Has(upn=BOB), Page()),
    row("upper-case user name", Has(), Token(), upn="ADA@CONTOSO.EXAMPLE"),
    row("unknown user name", None, Page(name="nobody@contoso.example"), upn="nobody@contoso.example"),
    row("user name of another domain", None, Page(name="eve@evil.example"), upn="eve@evil.example"),
    row("bare domain as user name", Has(), Page(name=None), upn="contoso.example"),
    row("down-level name as user name", Has(), Page(name=None), upn="CONTOSO\\ada"),
    row("first name as user name", Has(), Page(name=None), upn="ada"),
    row(
        "old name as user name",
        Has(),
        Page(name="ada.lovelace@contoso.example"),
        upn="ada.lovelace@contoso.example",
    ),
    row("wctx of two kilobytes", Has(), Token(), wctx=BIG),
    row("wctx with quotes and markup", Has(), Token(), wctx="""a=1&b="x"'<script>alert(1)</script>&c=%26"""),
    row("wctx in many scripts", Has(), Token(), wctx="état=Ω&名=値"),
    row("empty wctx", Has(), Token(), wctx=""),
    row("no wctx", Has(), Token(), change=(("wctx", None),)),
    row("by POST, first", None, Page(), post=True),
    row("by POST, with a session", Has(), Token(), post=True),
    row("by POST, authenticate again", Has(), Page(), post=True, prompt="login"),
    # freshness
    row("wfresh=0", Has(), Page(), wfresh="0"),
    row("wfresh=0 without a session", None, Page(), wfresh="0"),
    row("wfresh=5, session of 1 minute", Has(age=1), Token(), wfresh="5"),
    row("wfresh=5, session of 6 minutes", Has(age=6), Page(), wfresh="5"),
    row("wfresh=600, session of 300", Has(age=300), Token(), wfresh="600"),
    row("wfresh no number", Has(), Refused(), change=(("wfresh", "soon"),)),
    row("wfresh negative", Has(), Refused(), change=(("wfresh", "-1"),)),
    row("prompt=login", Has(), Page(), prompt="login"),
    row("prompt=none", Has(), Token(), prompt="none"),
    row("prompt=login, no session", None, Page(), prompt="login"),
    row("password wauth", Has(), Page(), wauth=PASSWORD),
    row("password wauth over https", Has(), Page(), wauth=PASSWORD_HTTPS),
    row("password wauth and wfresh=0", Has(), Page(), wauth=PASSWORD, wfresh="0"),
    row("SAML 1.1 password wauth", Has(), Page(), wauth="urn:oasis:names:tc:SAML:1.0:am:password"),
    row("SAML 2.0 password wauth", Has(), Page(), wauth="urn:oasis:names:tc:SAML:2.0:ac:classes:Password"),
    row("unknown wauth", Has(), Token(), wauth="urn:oasis:names:tc:SAML:1.0:am:X509-PKI"),
    # MFA
    row("MFA wanted, phone session", Has(), Token(), wauth=MFA),
    row("MFA wanted, QR session", Has(method=Method.BLOKKEY_QR), Token(), wauth=MFA),
    row("MFA wanted, passkey session", Has(method=Method.PASSKEY), Token(), wauth=MFA),
    row("MFA wanted, badge session: step up", BADGE, Page(), wauth=MFA),
    row("MFA wanted, no session", None, Page(), wauth=MFA),
    row("badge session, nothing wanted: no claim", BADGE, Token(mfa=False)),
    row("MFA at most an hour old, it is", Has(age=30), Token(), wauth=MFA, mfa_max_age=3600),
    row("MFA at most an hour old, it is not", Has(age=90), Page(), wauth=MFA, mfa_max_age=3600),
    row("MFA at most 0 s old", Has(age=1), Page(), wauth=MFA, mfa_max_age=0),
    row("mfa_max_age without wauth: old MFA is not claimed", Has(age=90), Token(mfa=False), mfa_max_age=3600),
    row("mfa_max_age no number", Has(), Refused(), change=(("mfa_max_age", "1h"),)),
    row("MFA and password wanted", Has(), Page(), wauth=f"{MFA} {PASSWORD}"),
    # where the answer goes
    row("wreply default named", Has(), Token(), wreply=LOGIN),
    row("wreply ccs", Has(), Token(action=CCS), wreply=CCS),
    row("wreply that begins like an allowed one", Has(), Refused(), wreply=f"{LOGIN}.evil.example/"),
    row("wreply with a query", Has(), Refused(), wreply=f"{LOGIN}?x=1"),
    row("wreply with user info", Has(), Refused(), wreply="https://login.microsoftonline.com@evil.example/"),
    row("wreply over http", Has(), Refused(), wreply=LOGIN.replace("https", "http")),
    row("wreply with a port", Has(), Refused(), wreply=LOGIN.replace(".com", ".com:444")),
    row("wreply in upper case", Has(), Refused(), wreply=LOGIN.upper()),
    row("wreply with a dot at the host's end", Has(), Refused(), wreply=LOGIN.replace(".com", ".com.")),
    row("wreply a script", Has(), Refused(), wreply="javascript:alert(1)"),
    # what is not a request
    row("other realm", Has(), Refused(), change=(("wtrealm", "urn:federation:Evil"),)),
    row("realm with a space", Has(), Refused(), change=(("wtrealm", "urn:federation:MicrosoftOnline "),)),
    row("no realm", Has(), Refused(), change=(("wtrealm", None),)),
    row("other wa", Has(), Refused(), change=(("wa", "wattr1.0"),)),
    row("wa in upper case", Has(), Refused(), change=(("wa", "WSIGNIN1.0"),)),
    row("no wa", Has(), Refused(), change=(("wa", None),)),
    row("doubled wa", Has(), Refused(), extra=(("wa", "wsignin1.0"),)),
    row("doubled wctx", Has(), Refused(), extra=(("wctx", "other"),)),
    row("doubled username", Has(), Refused(), extra=(("username", BOB),)),
    row("wctx of 64 kilobytes", Has(), Refused(status=413), wctx="A" * 65536, post=True),
    row("wctx with a newline", Has(), Refused(), wctx="a\r\nb"),
    row("seventy parameters", Has(), Refused(status=413), extra=tuple((f"x{i}", "1") for i in range(70))),
    row("unknown parameters", Has(), Token(), extra=(("cxhflow", "TB"), ("whr", "contoso.example"))),
    row("doubled unknown parameter", Has(), Token(), extra=(("x", "1"), ("x", "2"))),
    # language, correlation, loops
    row("French", None, Page(), mkt="fr-FR"),
    row("nonsense language", Has(), Token(), mkt="../../etc"),
    row("odd client-request-id", Has(), Token(), client_request_id="<script>"),
    row("sent back in four different seconds", Has(tokens=4), Token()),
    row("sent back in a fifth: the loop is stopped", Has(tokens=5), Refused(status=409, says="Contoso")),
    row("sent back every three seconds", Has(tokens=5, apart=3), Refused(status=409)),
    row("sent back every six seconds", Has(tokens=9, apart=6), Token()),
    row("twenty tabs in one second", Has(tokens=20, apart=0), Token()),
    row("sent back for something else each time", Has(tokens=9, other_wants=True), Token()),
    row("loop for MFA", Has(tokens=5), Refused(status=409), wauth=MFA),
]


@dataclass
class Stage:
    """The flow, and wsfed's own stores to put sessions into."""

    flow: Flow
    wsfed: Dependencies
    devices: dict[str, str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """Every row has a browser and a session of its own, so the stage may be shared."""
    async with start_flow(tmp_path_factory.mktemp("requests")) as flow:
        await flow.person(BOB)
        devices = {upn: (await flow.phone(upn)).key.device for upn in (ADA, BOB)}
        flow.world.kept["wsfed"] = flow.world.databases["wsfed"].data
        yield Stage(flow, wsfed_app.build(flow.world.platform).dependencies, devices)


async def give(stage: Stage, has: Has, wants: str) -> dict[str, str]:
    """Put that session into the database; the browser's cookies."""
    flow = stage.flow
    account, now = await flow.account(has.upn), flow.world.clock.now()
    secret = new_secret(flow.world.ids)
    made = now - timedelta(minutes=has.age)
    authentication = VerifiedAuthentication(
        tenant=TENANT,
        account=account.id,
        method=has.method,
        user_verified=True,
        registered_kiosk=False,
        authenticated_at=made,
    )
    session = Session(
        id=session_id(secret),
        authentication=authentication,
        device=stage.devices[has.upn],
        ends_at=made + timedelta(minutes=has.length),
        idle_ends_at=now - timedelta(minutes=has.idle) + timedelta(minutes=120),
        issued=(now - timedelta(minutes=has.idle),),
        answers=tuple(
            Answer(now - timedelta(seconds=has.apart * (has.tokens - i)), wants) for i in range(has.tokens)
        ),
    )
    await stage.wsfed.sessions.add(session)
    # planted under Ada's name, too: whose session it is must decide, not what the cookie is called
    return {f"__Host-{cookie_name(TENANT, upn)}": secret for upn in (has.upn, ADA)}


def _wants(row: Row, fields: list[tuple[str, str]]) -> str:
    """What the row's earlier requests wanted."""
    if row.session is None or not row.session.tokens:
        return ""
    return "other" if row.session.other_wants else parse_sign_in(fields, cloud=CLOUDS["worldwide"]).wants


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_request(stage: Stage, row: Row) -> None:
    flow = stage.flow
    fields = passive_fields(row.upn, ids=flow.world.ids, **row.options)
    for key, value in row.change:
        fields = [(k, v) for k, v in fields if k != key] + ([] if value is None else [(key, value)])
    fields += row.extra
    browser = await flow.browser()
    if row.session is not None:
        browser.cookies.update(await give(stage, row.session, _wants(row, fields)))
    before = len(flow.issuances())
    address = f"{flow.origin}/t/{TENANT}/wsfed"
    if row.post:
        kept = dict(browser.cookies)
        browser.cookies.clear()  # SameSite=Lax: a POST from Microsoft's page brings none
        page = await browser.post(
            address, dict(fields), headers={"Sec-Fetch-Site": "cross-site"}, follow=False
        )
        browser.cookies.update(kept)
        if page.status == 303:
            page = await browser.get(flow.origin + page.headers["Location"])
    else:
        page = await browser.get(to_url(address, fields))
    posts = [form for form in page.forms() if "wresult" in form.fields]
    match row.outcome:
        case Token(mfa=mfa, action=action):
            form = token_form(page)
            assert form.action == action
            assert len(flow.issuances()) == before + 1
            values = dict(fields)
            pending = remember("contoso.example", [("wctx", ""), *fields], flow.world.clock.now())
            assert form.fields.get("wctx", "") == values.get("wctx", "")
            user = await flow.entra.verify(form, pending) if "wctx" in form.fields else None
            assert user is None or (user.upn, user.mfa) == (ADA, mfa)
        case Page(name=name):
            assert page.status == 200
            assert posts == []
            assert len(flow.issuances()) == before
            if name is None:
                assert any(form.action.endswith("/account") for form in page.forms())
            else:
                assert name in page.words()
                assert any(form.action.endswith("/push") for form in page.forms())
        case Refused(status=status, says=says):
            assert page.status == status, page.words()
            assert posts == []
            assert len(flow.issuances()) == before
            assert says in page.words()
            assert "Traceback" not in page.text
            assert "href=" in page.text.partition("<main")[2]  # a way on


def test_the_table_is_long_enough() -> None:
    assert len(ROWS) >= 60
    assert len({row.name for row in ROWS}) == len(ROWS)
