"""The example organisation of `make run`: northwind, 300 people with some history and one problem of each kind.

It is made behind the "ready" of `make run`, a little at a time, by admin's own handlers. Names are the same at every
start; who is there already is left as they are, so a start that was interrupted goes on where it was. History is made
by a clock that is set back, for admin's own times.

Nobody has the phones of these people: admin's decisions on them are written as if they had been enrolled. So they are
in lists and counts, and nobody can sign in as one of them until an administrator invites that person.

Whoever becomes the first owner of the demo tenant becomes that of this one, so that the console has two tenants to
switch between.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from urllib.parse import urlsplit

import structlog

from deploy.local import example_sign_ins, tenant
from deploy.local.running_system import RunningSystem
from services.admin import handlers as admin
from services.admin.domain.accounts import Account, AccountAction, apply_action
from services.admin.domain.alerts import alert_of_refusal
from services.admin.domain.authenticators import Authenticator, Reason
from services.admin.domain.roles import Act, Role
from services.admin.domain.teams import Team
from services.admin.handlers import NewAccount
from services.admin.handlers.console_team import NewAdministrator, invite_by_operator
from services.admin.handlers.operator import operate, operate_on
from services.admin.handlers.recording import Record
from services.admin.ports import Dependencies
from shared.clock import Clock
from shared.contracts.admin import AuthenticatorStatus
from shared.errors import Conflict, NotFound
from shared.ids import b64u, new_id, unb64u

log = structlog.get_logger(__name__)

TENANT, NAME, DOMAIN = "northwind", "Northwind Traders", "northwind.example"
PEOPLE = 300
LINE = f"{NAME}, {PEOPLE} people, made behind this in the console; --empty makes none"
PAUSE = 0.01
"""Seconds between two people, so that the pages that somebody opens meanwhile are not held up."""
OWNER_EVERY = 2.0
"""Seconds between two looks whether the demo tenant has an owner."""

_FIRST = (
    ("Zoé", "zoe"), ("Søren", "soren"), ("Łukasz", "lukasz"), ("Inês", "ines"), ("Jürgen", "juergen"),
    ("Chloë", "chloe"), ("Björk", "bjork"), ("Nguyệt", "nguyet"), ("Gülşen", "gulsen"), ("Đorđe", "djordje"),
    ("Siobhán", "siobhan"), ("Ferenc", "ferenc"), ("Amélie", "amelie"), ("محمد", "mohammed"), ("فاطمة", "fatima"),
    ("נועה", "noa"), ("דוד", "david"), ("美咲", "misaki"), ("Jean-Paul", "jean-paul"), ("Nana Akua", "nana.akua"),
    ("Ana", "ana"), ("Olivia", "olivia"), ("Kwame", "kwame"), ("Priya", "priya"), ("Mateo", "mateo"),
    ("Ingrid", "ingrid"), ("Tomáš", "tomas"), ("Wei", "wei"), ("Ada", "ada"), ("Grace", "grace"),
)  # fmt: skip
"""First names, and how they are written in a user name."""
_LAST = (
    ("O'Brien", "o'brien"), ("D'Angelo", "d'angelo"), ("Müller-Lüdenscheidt", "mueller-luedenscheidt"),
    ("Ångström", "angstrom"), ("N'Diaye", "n'diaye"), ("van der Berg", "vanderberg"), ("González", "gonzalez"),
    ("Þórsdóttir", "thorsdottir"), ("Kowalczyk", "kowalczyk"), ("Çelik", "celik"), ("الخطيب", "alkhatib"),
    ("כהן", "cohen"), ("佐藤", "sato"), ("Nwosu", "nwosu"), ("Patel", "patel"), ("Silva", "silva"),
    ("Dubois", "dubois"), ("Novák", "novak"), ("Eriksen", "eriksen"),
    ("de Vasconcelos e Sousa Albuquerque Montenegro", "montenegro"),
)  # fmt: skip


class Kind(Enum):
    """What an example person shows."""

    ENROLLED = "has a phone"
    INVITED = "has an open invitation"
    NEW = "was never invited"
    EXPIRED = "has an invitation that expired"
    SUSPENDED = "is suspended"
    REMOVED = "was removed, which can be undone"
    NO_PHONE = "had a phone, and has none any more"
    REFUSED = "has a phone that was refused"


@dataclass(frozen=True, slots=True)
class Example:
    """One person of the example: `days` ago their account was made."""

    new: NewAccount
    kind: Kind
    days: int


def people() -> Iterator[Example]:
    """All of them, the same at every start: the first of each kind come first, so that every problem is there early."""
    kinds = [Kind.SUSPENDED, Kind.EXPIRED, Kind.NO_PHONE, Kind.REFUSED, Kind.REMOVED, Kind.NEW, Kind.INVITED]
    for number in range(PEOPLE):
        first, plain_first = _FIRST[number % len(_FIRST)]
        last, plain_last = _LAST[(number * 7 + number // len(_FIRST)) % len(_LAST)]
        if number < len(kinds):
            kind = kinds[number]
        else:  # of twenty: fourteen with a phone, and a few of each of the others
            of_twenty = [Kind.ENROLLED] * 14 + [Kind.INVITED] * 3 + [Kind.NEW, Kind.NEW, Kind.SUSPENDED]
            kind = of_twenty[(number * 11 + number // 7) % 20]
        upn = f"{plain_first}.{plain_last}@{DOMAIN}"
        new = NewAccount(upn, first, last, f"{plain_first}.{number}@private.example")
        yield Example(new, kind, 3 + number * 37 % 85)


class EarlierClock:
    """A clock that is set back by `ago`. It waits as the real one does."""

    def __init__(self, clock: Clock, ago: timedelta) -> None:
        self._clock = clock
        self._ago = ago

    def now(self) -> datetime:
        return self._clock.now() - self._ago

    def monotonic(self) -> float:
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)


async def seed(running_system: RunningSystem, *, people_of: Iterator[Example] | None = None) -> int:
    """Make what is missing; how many people were made. Can be interrupted and repeated."""
    deps = running_system.admin
    for step in (
        admin.create_tenant(deps, TENANT, NAME),
        admin.add_domain(deps, TENANT, DOMAIN),
        admin.add_application(deps, TENANT),
    ):
        try:
            await step
        except Conflict:
            continue
    await running_system.flush()
    figures = example_sign_ins.figures_of(running_system)
    if figures is not None:
        await example_sign_ins.write_days(figures, TENANT, deps.clock.now())
    first_uses = example_sign_ins.first_uses_of(running_system)
    if first_uses is not None:
        example_sign_ins.note_first_use(first_uses, TENANT, DOMAIN, deps.clock.now())
    made = enrolled = 0
    for number, example in enumerate(people_of or people()):
        try:
            await admin.show_account(deps, TENANT, example.new.upn)
        except NotFound:
            account = await _make(running_system, example)
            made += 1
            if figures is not None and example.kind is Kind.ENROLLED:
                enrolled += 1
                await example_sign_ins.write_person(
                    figures, account, deps.clock.now(), number, not_me=enrolled == 1
                )
            await deps.clock.sleep(PAUSE)
    return made


async def _make(running_system: RunningSystem, example: Example) -> Account:
    deps = _earlier(running_system.admin, days=example.days)

    async def create(record: Record) -> Account:
        made = await admin.create_account(deps, TENANT, example.new)
        record.subject_id, record.subject = made.id, made.upn
        return made

    account = await operate(deps, TENANT, Act.CREATE_ACCOUNT, create, subject=example.new.upn)
    days = min(example.days - 2, 9) if example.kind is Kind.REMOVED else example.days - 2
    later = _earlier(running_system.admin, days=days)
    match example.kind:
        case Kind.ENROLLED:
            await _enrol(later, account)
        case Kind.NO_PHONE:
            await _enrol(later, account)
            await operate_on(
                running_system.admin,
                TENANT,
                Act.REMOVE_DEVICE,
                account.id,
                lambda who, _: admin.remove_device(running_system.admin, TENANT, who, None),
            )
        case Kind.EXPIRED:
            await _invite(later, account)
        case Kind.INVITED:
            await _invite(running_system.admin, account)
        case Kind.SUSPENDED:
            await operate_on(
                later, TENANT, Act.SUSPEND, account.id, lambda who, _: admin.suspend(later, TENANT, who)
            )
        case Kind.REMOVED:
            await operate_on(
                later, TENANT, Act.REMOVE_ACCOUNT, account.id, lambda who, _: admin.remove(later, TENANT, who)
            )
        case Kind.REFUSED:
            refused = _phone(later, account, reason=Reason.WITHDRAWN)
            await deps.authenticators.add(refused)
            await deps.alerts.add(alert_of_refusal(refused, f"{account.first_name}'s phone"))
        case Kind.NEW:
            pass
    await running_system.flush()
    return account


async def _enrol(deps: Dependencies, account: Account) -> None:
    await deps.authenticators.add(_phone(deps, account, name=f"{account.first_name}'s phone"))
    await deps.accounts.change(TENANT, account.id, lambda before: apply_action(before, AccountAction.ENROL))


def _phone(
    deps: Dependencies, account: Account, *, name: str = "", reason: Reason | None = None
) -> Authenticator:
    """Admin's decision on a phone that nobody has."""
    return Authenticator(
        id=new_id(deps.ids),
        tenant=TENANT,
        account=account.id,
        invitation=new_id(deps.ids),
        status=AuthenticatorStatus.TRUSTED if reason is None else AuthenticatorStatus.REFUSED,
        decided_at=deps.clock.now(),
        credential_id=b64u(deps.ids.random_bytes(16)),
        key_sha256=b64u(deps.ids.random_bytes(32)),
        reason="" if reason is None else reason.value,
        name=name,
    )


async def _invite(deps: Dependencies, account: Account) -> None:
    await operate_on(
        deps,
        TENANT,
        Act.INVITE,
        account.id,
        lambda who, _: admin.invite(deps, TENANT, who, send_mail=False),
    )


def _earlier(deps: Dependencies, *, days: int) -> Dependencies:
    return replace(deps, clock=EarlierClock(deps.clock, timedelta(days=days)))


async def share_owner(running_system: RunningSystem) -> None:
    """Wait until the demo tenant has an owner, and make that the owner of the example too, unless it has one."""
    deps = running_system.admin
    while not (owners := (await deps.teams.get(tenant.TENANT)).owners):
        await deps.clock.sleep(OWNER_EVERY)
    if (await deps.teams.get(TENANT)).owners:
        return
    owner = owners[0]
    new = NewAdministrator(name=owner.name, email=owner.email, role=Role.OWNER)
    link = await invite_by_operator(deps, TENANT, new)
    secret = unb64u(urlsplit(link.url).fragment)

    def accepted(team: Team) -> Team:
        return team.accepted(
            link.invitation.id,
            secret,
            deps.clock.now(),
            administrator=owner.administrator,
            name=owner.name,
            email=owner.email,
        )

    await deps.teams.change(TENANT, accepted)


async def make(running_system: RunningSystem) -> None:
    """`seed` and `share_owner`, behind a running system. A fault is logged: the system runs without the example."""
    try:
        made = await seed(running_system)
        log.info("example.made", people=made)
        await share_owner(running_system)
    except asyncio.CancelledError:
        raise
    except Exception:
        log.exception("example.failed")
