"""The person's own page (docs/flows/own-page.md), steps 1, 3 to 5, 7: a visit, what it shows, what is asked in it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

import structlog

from services.wsfed.domain.browser import KnownBrowser
from services.wsfed.domain.own_page import (
    MAX_BROWSERS,
    MAX_NAME,
    MAX_SIGN_INS,
    VISIT,
    Act,
    ActKind,
    Outcome,
    OwnPhone,
    OwnSignIn,
    VisitEnd,
    outcome,
    visit_end,
)
from services.wsfed.domain.session import session_id
from services.wsfed.domain.transaction import (
    DeviceProof,
    Transaction,
    TransactionState,
)
from services.wsfed.handlers.common import begin_with_us, find_tenant, require_fresh
from services.wsfed.handlers.token_issuance import NotApproved
from services.wsfed.ports import Account, Dependencies, Tenant
from shared.contracts.admin import (
    EPOCHS_IN_A_GENERATION,
    RemoveAuthenticator,
    RemoveOwnBrowser,
    RenameAuthenticator,
    SignOutPerson,
)
from shared.contracts.approval import Proof
from shared.contracts.envelope import SignedMessage
from shared.crypto.visit import own_page
from shared.errors import BadInput, Conflict, Gone, NotFound
from shared.ids import b64u
from shared.text import clean_line

log = structlog.get_logger(__name__)

TOKENS_LOOKED_AT = 200
"""Tokens of the account among which its sign-ins are looked for: most come from sessions and are none."""
T = TypeVar("T")
MAX_COOKIES = 10
"""Accounts in one browser among which the last one of the tenant is looked for."""


class VisitOver(Gone):
    """The page takes nothing any more: the person signs in to it again."""

    id = "wsfed.own_page.over"
    code = "visit_over"


async def begin_visit(
    deps: Dependencies, slug: str, browser_secret: str, name: str, username: str, *, from_entra: bool
) -> Transaction:
    """Step 1: a sign-in to the person's own page in this browser. Raises NotFound.

    `name`: of the page, in the person's language, as the phone will show it. `username`: the user name, or empty.
    """
    await find_tenant(deps, slug)
    transaction = await begin_with_us(
        deps,
        slug,
        own_page(deps.origin, slug),
        username,
        browser_secret,
        from_entra=from_entra,
        own_page=name,
    )
    log.info("own_page.begun", tenant=slug, transaction=transaction.id)
    return transaction


async def last_name_here(deps: Dependencies, slug: str, session_secrets: Sequence[str]) -> str:
    """The user name of the tenant's account that signed in last in the browser with these cookies; empty without one.

    Only of a session that is still live: on a shared computer nobody reads who was here before. The name is one to
    begin with and proves nothing.
    """
    found = [await deps.sessions.get(session_id(secret)) for secret in session_secrets[:MAX_COOKIES]]
    now = deps.clock.now()
    own = [each for each in found if each is not None and each.tenant == slug and each.live(now)]
    if not own:
        return ""
    latest = max(own, key=lambda session: session.authentication.authenticated_at)
    account = await deps.directory.account(slug, latest.account)
    if account is None or not account.status.can_sign_in or not latest.begun_under(account.session_epoch):
        return ""
    return account.upn


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What the page shows. With an `end` nothing but what became of the acts."""

    tenant: Tenant
    account: Account
    end: VisitEnd | None
    ends_at: datetime
    phones: tuple[OwnPhone, ...]
    browsers: tuple[KnownBrowser, ...]
    sign_ins: tuple[OwnSignIn, ...]
    results: tuple[tuple[Act, Outcome], ...]

    def phone(self, device: str) -> OwnPhone:
        """Raises NotFound."""
        return _one(phone for phone in self.phones if phone.id == device)

    def browser(self, browser: str) -> KnownBrowser:
        """Raises NotFound."""
        return _one(each for each in self.browsers if each.id == browser)


async def look(deps: Dependencies, transaction: Transaction) -> Visit:
    """Steps 4 and 7: the page as wsfed knows it now. Raises NotApproved (nothing is proved), NotFound, Unavailable."""
    return (await _look(deps, transaction))[1]


async def _look(deps: Dependencies, transaction: Transaction) -> tuple[DeviceProof, Visit]:
    require_fresh(deps)
    authentication, proof = transaction.authentication, transaction.proof
    proved = transaction.state is TransactionState.PROVED and bool(transaction.own_page)
    if not proved or authentication is None or proof is None:
        raise NotApproved
    now, tenant = deps.clock.now(), await find_tenant(deps, transaction.tenant)
    account = await deps.directory.account(tenant.slug, authentication.account)
    if account is None:
        raise NotFound("wsfed.transaction.unknown")
    phones = await deps.directory.own_phones(tenant.slug, account.id)
    counting = {phone.id for phone in phones}
    browsers = tuple(
        each
        for each in await deps.browsers.of(tenant.slug, account.id, MAX_BROWSERS)
        if now < each.known_until and each.session_epoch == account.session_epoch and each.device in counting
    )
    sign_ins = await deps.issuances.proved(tenant.slug, account.id, TOKENS_LOOKED_AT)
    used = {each.device: each.at for each in reversed(sign_ins)}
    results = tuple(
        (
            act,
            outcome(
                act,
                phones=phones,
                browsers=[each.id for each in browsers],
                session_epoch=account.session_epoch,
                now=now,
            ),
        )
        for act in transaction.acts
    )
    visit = Visit(
        tenant=tenant,
        account=account,
        end=visit_end(
            authentication,
            can_sign_in=account.status.can_sign_in,
            session_epoch=account.session_epoch,
            phone_counts=proof.device in counting,
            now=now,
        ),
        ends_at=authentication.authenticated_at + VISIT,
        phones=tuple(
            replace(phone, last_used=used.get(phone.id), in_use=phone.id == proof.device) for phone in phones
        ),
        browsers=browsers,
        sign_ins=tuple(sign_ins[:MAX_SIGN_INS]),
        results=results,
    )
    return proof, visit


async def ask(
    deps: Dependencies,
    transaction: Transaction,
    kind: ActKind,
    *,
    target: str = "",
    version: int = 0,
    name: str = "",
) -> None:
    """Step 5: keep what the person asks for, and send admin the command for it, in one write. The same twice is once.

    `version`: what the person saw. Raises VisitOver, NotApproved, NotFound (no such phone or browser of theirs),
    BadInput (no name), Conflict (too many acts), Unavailable.
    """
    transaction = await deps.transactions.get(transaction.id) or transaction
    proof, visit = await _look(deps, transaction)
    if visit.end is not None:
        raise VisitOver
    act = _act(visit, kind, target, version, name, deps.clock.now())
    if any(act.same_as(asked) and found is not Outcome.DONE for asked, found in visit.results):
        return
    command = _command(deps, visit, proof, act)
    if await deps.transactions.act(transaction.id, act, [command]) is None:
        raise Conflict("wsfed.own_page.too_many", code="too_many_acts")
    log.info("own_page.asked", tenant=visit.tenant.slug, account=visit.account.id, act=kind.value)


def _act(visit: Visit, kind: ActKind, target: str, version: int, name: str, now: datetime) -> Act:
    """Raises NotFound, BadInput."""
    match kind:
        case ActKind.SIGN_OUT:
            return Act(kind=kind, at=now, version=visit.account.session_epoch)
        case ActKind.REMOVE_BROWSER:
            label, name = visit.browser(target).agent, ""
        case ActKind.REMOVE_PHONE:
            label, name = visit.phone(target).name, ""
        case ActKind.RENAME_PHONE:
            label, name = visit.phone(target).name, clean_line(name, MAX_NAME)
            if not name:
                raise BadInput("wsfed.own_page.no_name", code="no_name")
    if version < 1:
        raise BadInput("wsfed.own_page.no_version", code="no_version")
    return Act(kind=kind, at=now, target=target, label=label, name=name, version=version)


def _command(deps: Dependencies, visit: Visit, proof: DeviceProof, act: Act) -> SignedMessage:
    shown = Proof(
        context=proof.context,
        authenticator_data=b64u(proof.authenticator_data),
        client_data_json=b64u(proof.client_data_json),
        signature=b64u(proof.signature),
    )
    account, signed_by = visit.account.id, proof.device
    command: RenameAuthenticator | RemoveAuthenticator | RemoveOwnBrowser | SignOutPerson
    match act.kind:
        case ActKind.RENAME_PHONE:
            command = RenameAuthenticator(
                account=account,
                signed_by=signed_by,
                proof=shown,
                authenticator=act.target,
                version=act.version,
                name=act.name,
            )
        case ActKind.REMOVE_PHONE:
            command = RemoveAuthenticator(
                account=account,
                signed_by=signed_by,
                proof=shown,
                authenticator=act.target,
                version=act.version,
            )
        case ActKind.REMOVE_BROWSER:
            command = RemoveOwnBrowser(
                account=account, signed_by=signed_by, proof=shown, browser=act.target, version=act.version
            )
        case ActKind.SIGN_OUT:
            epoch = act.version % EPOCHS_IN_A_GENERATION
            command = SignOutPerson(account=account, signed_by=signed_by, proof=shown, session_epoch=epoch)
    return deps.signer.sign(command, tenant=visit.tenant.slug)


def _one(found: Iterable[T]) -> T:
    for each in found:
        return each
    raise NotFound("wsfed.own_page.unknown")
