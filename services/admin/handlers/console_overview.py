"""The Overview of a tenant: how far its set-up has come, what to look at, how sign-ins ended
(docs/flows/sign-in-figures.md, step 6).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from services.admin.domain.accounts import Account
from services.admin.domain.administrators import ADVISED_PASSKEYS, Administrator
from services.admin.domain.alerts import Alert
from services.admin.domain.certificates import certificate_facts
from services.admin.domain.configuration import CERTIFICATE_SOON, Item
from services.admin.domain.federation import FirstUse
from services.admin.domain.roles import Act, Actor
from services.admin.domain.sign_ins import PERIODS, Figures, figures_of
from services.admin.domain.teams import Team
from services.admin.domain.tenants import Tenant
from services.admin.handlers.tenants import show_tenant
from services.admin.ports import Dependencies
from shared.contracts.provisioning import ConnectionChanged
from shared.errors import BadInput

ADVISED_OWNERS = 2
ALERTS_FOR = timedelta(days=30)
"""How long the Overview shows what administrators were told by mail."""
ALERTS_SHOWN = 5
FAILED_COUNTED = 100
"""People with a provisioning fault that are counted, at most: more are "100 or more"."""


class Stage(StrEnum):
    """The set-up path, in the order in which one goes it."""

    APPLICATION = "application"
    DOMAIN = "domain"
    PEOPLE = "people"
    FEDERATION = "federation"
    SIGN_IN = "sign_in"
    KNOWN_BROWSERS = "known_browsers"
    PASSKEY = "passkey"
    OWNER = "owner"
    BREAK_GLASS = "break_glass"
    PROVISIONING = "provisioning"


OPTIONAL = frozenset({Stage.PROVISIONING, Stage.KNOWN_BROWSERS})
"""What the path is complete without."""


class StageState(StrEnum):
    """Where a stage of the set-up path stands."""

    DONE = "done"
    OPEN = "open"
    WAITING = "waiting"
    """It comes by itself, or after something before it."""
    FAILED = "failed"
    UNKNOWN = "unknown"
    """Nobody here can see it, and nobody has said that it is so."""


@dataclass(frozen=True, slots=True)
class ReachedStage:
    """A stage of the set-up path and where it stands. `subject`: the domain that it is about, where it is about one."""

    stage: Stage
    state: StageState
    subject: str = ""

    @property
    def optional(self) -> bool:
        return self.stage in OPTIONAL


@dataclass(frozen=True, slots=True)
class EndingCertificate:
    """A token-signing certificate that ends soon, or has ended. `ends`: None where it cannot be read."""

    ends: datetime | None
    over: bool


@dataclass(frozen=True, slots=True)
class ShownAlert:
    """What administrators were told by mail, with the person that it is about; None when there is none any more."""

    alert: Alert
    account: Account | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Everything that the page shows."""

    path: tuple[ReachedStage, ...]
    figures: Figures
    certificate: EndingCertificate | None
    alerts: tuple[ShownAlert, ...]
    more_alerts: bool
    """Whether there are more than are shown."""
    connection: ConnectionChanged | None
    failed: int
    """People with a provisioning fault, `FAILED_COUNTED` for that many or more."""

    @property
    def is_set_up(self) -> bool:
        """Whether nothing of the set-up path is left that has to be done."""
        return all(each.state is StageState.DONE for each in self.path if each.stage not in OPTIONAL)

    @property
    def done(self) -> int:
        """How many stages are done."""
        return sum(each.state is StageState.DONE for each in self.path)

    @property
    def connection_failed(self) -> bool:
        return self.connection is not None and self.connection.state == "failed"

    @property
    def credential_ends(self) -> datetime | None:
        """When what provisioning signs in with ends, where that is soon or past."""
        said = self.connection
        if said is None or said.state == "off" or not said.credential or said.ends_within is None:
            return None
        return said.credential_ends

    @property
    def needs_attention(self) -> bool:
        return bool(
            self.certificate or self.alerts or self.credential_ends or self.connection_failed or self.failed
        )


async def overview(
    deps: Dependencies, actor: Actor, administrator: Administrator, *, days: int = PERIODS[1]
) -> Overview:
    """The Overview as it is now, with the figures of the last `days` days. Raises Forbidden, NotFound, BadInput."""
    now = deps.clock.now()
    actor.require(Act.SEE_OVERVIEW, now)
    if days not in PERIODS:
        raise BadInput("admin.console.malformed")
    tenant, team = await show_tenant(deps, actor.tenant), await deps.teams.get(actor.tenant)
    uses = [(each.name, await deps.first_uses.of(tenant.slug, each.name)) for each in tenant.domains]
    people = await deps.accounts.page(tenant.slug, after=None, status=None, limit=1, live=True)
    connection = await deps.directory.connection(tenant.slug)
    today = now.date()
    counted = await deps.sign_ins.days(tenant.slug, today - timedelta(days=days - 1))
    found = await deps.alerts.recent(tenant.slug, now - ALERTS_FOR, ALERTS_SHOWN + 1)
    return Overview(
        path=set_up_path(
            tenant,
            team,
            administrator,
            uses=uses,
            anybody=bool(people),
            emergency=(await deps.checklists.get(tenant.slug)).mark(Item.BREAK_GLASS) is not None,
            connection=connection,
        ),
        figures=figures_of(counted, today, days),
        certificate=await _ending(deps, tenant.slug, now),
        alerts=tuple(
            [
                ShownAlert(each, await deps.accounts.get(tenant.slug, each.account))
                for each in found[:ALERTS_SHOWN]
            ]
        ),
        more_alerts=len(found) > ALERTS_SHOWN,
        connection=connection,
        failed=len(await deps.directory.failed(tenant.slug, "", FAILED_COUNTED)),
    )


def set_up_path(
    tenant: Tenant,
    team: Team,
    administrator: Administrator,
    *,
    uses: Sequence[tuple[str, FirstUse | None]],
    anybody: bool,
    emergency: bool,
    connection: ConnectionChanged | None,
) -> tuple[ReachedStage, ...]:
    """Where the set-up of the tenant stands. `uses`: its domains, each with its first use; `anybody`: has it people;
    `emergency`: has somebody said that there is an emergency administrator.
    """
    requested = next((name for name, use in uses if use is not None), "")
    signed_in = next((name for name, use in uses if use is not None and use.first_sign_in_at is not None), "")
    # All steps name one domain: the one that has come furthest.
    named = signed_in or requested or (uses[0][0] if uses else "")
    directory = StageState.OPEN
    if connection is not None and connection.state != "off":
        directory = StageState.DONE if connection.state == "ready" else StageState.FAILED
    waits = StageState.WAITING
    return (
        _reached(Stage.APPLICATION, bool(tenant.applications)),
        _reached(Stage.DOMAIN, bool(tenant.domains), subject=named),
        _reached(Stage.PEOPLE, anybody),
        _reached(Stage.FEDERATION, bool(requested), StageState.OPEN if named else waits, named),
        _reached(Stage.SIGN_IN, bool(signed_in), waits, named),
        _reached(Stage.KNOWN_BROWSERS, tenant.policy.sign_in != "open"),
        _reached(Stage.PASSKEY, len(administrator.passkeys) >= ADVISED_PASSKEYS),
        _reached(Stage.OWNER, len(team.owners) >= ADVISED_OWNERS),
        _reached(Stage.BREAK_GLASS, emergency, StageState.UNKNOWN),
        ReachedStage(Stage.PROVISIONING, directory),
    )


def _reached(
    stage: Stage, done: bool, otherwise: StageState = StageState.OPEN, subject: str = ""
) -> ReachedStage:
    return ReachedStage(stage, StageState.DONE if done else otherwise, subject)


async def _ending(deps: Dependencies, tenant: str, now: datetime) -> EndingCertificate | None:
    """The certificate that signs now, if it ends soon."""
    certificates = await deps.certificates.of(tenant)
    if certificates is None:
        return None
    ends = certificate_facts(certificates.current).not_after
    if ends is not None and ends - now > CERTIFICATE_SOON:
        return None
    return EndingCertificate(ends, over=ends is not None and ends <= now)
