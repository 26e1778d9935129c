"""Applications and the sign-in policy in the console: every change recorded."""

from services.admin.domain.roles import Act, Actor, Operator
from services.admin.domain.tenants import Tenant
from services.admin.handlers import tenants
from services.admin.handlers.recording import recorded
from services.admin.ports import Dependencies
from shared.contracts.admin import Application, Policy
from shared.errors import Conflict


async def add_application(
    deps: Dependencies, actor: Actor, *, name: str, session_hours: int, first_method: str
) -> Application:
    """The application from the template Microsoft 365, of which a tenant has one: Entra's requests name none.

    Raises Forbidden, BadInput, Conflict, NotFound, Unavailable.
    """
    actor.require(Act.CHANGE_APPLICATION, deps.clock.now())
    tenant = await tenants.show_tenant(deps, actor.tenant)
    if tenant.applications:
        raise Conflict("admin.application.one")
    async with recorded(deps, actor, Act.CHANGE_APPLICATION, subject=name) as record:
        made = await tenants.add_application(
            deps,
            actor.tenant,
            name=name,
            session_hours=session_hours,
            first_method=first_method,
            expected_version=tenant.version,
        )
        record.subject_id, record.subject, record.after = made.id, made.name, _facts(made)
    return made


async def change_application(
    deps: Dependencies,
    actor: Actor,
    application: str,
    *,
    name: str,
    session_hours: int,
    first_method: str,
    expected_version: int,
) -> Application:
    """Its name, session length and first method. Raises Forbidden, BadInput, Conflict, NotFound, Unavailable."""
    actor.require(Act.CHANGE_APPLICATION, deps.clock.now())
    before = next(
        (
            each
            for each in (await tenants.show_tenant(deps, actor.tenant)).applications
            if each.id == application
        ),
        None,
    )
    subject = "" if before is None else before.name
    async with recorded(
        deps, actor, Act.CHANGE_APPLICATION, subject_id=application, subject=subject
    ) as record:
        changed = await tenants.change_application(
            deps,
            actor.tenant,
            application,
            name=name,
            session_hours=session_hours,
            first_method=first_method,
            expected_version=expected_version,
        )
        assert before is not None, "it was changed, so it was there"
        record.before, record.after = _differences(_facts(before), _facts(changed))
    return changed


async def change_policy(deps: Dependencies, actor: Actor, policy: Policy, *, expected_version: int) -> None:
    """How people sign in, for the whole tenant. Raises Forbidden, StepUpNeeded, Conflict, NotFound, Unavailable."""
    actor.require(Act.CHANGE_POLICY, deps.clock.now())
    await set_policy(deps, actor, policy, expected_version=expected_version)


async def set_policy(
    deps: Dependencies, by: Actor | Operator, policy: Policy, *, expected_version: int
) -> Tenant:
    """The same for whoever was found to be allowed to. Raises Conflict, NotFound, Unavailable."""
    before = await tenants.show_tenant(deps, by.tenant)
    async with recorded(deps, by, Act.CHANGE_POLICY, subject_id=by.tenant, subject=before.name) as record:
        after = await tenants.configure_tenant(
            deps, by.tenant, policy=policy, expected_version=expected_version
        )
        record.before, record.after = _differences(_policy(before.policy), _policy(after.policy))
    return after


def _facts(application: Application) -> dict[str, str]:
    return {
        "name": application.name,
        "session_hours": str(application.session_hours),
        "first_method": application.first_method,
    }


def _policy(policy: Policy) -> dict[str, str]:
    return {
        "sign_in": policy.sign_in,
        "same_network": "yes" if policy.same_network_or_passkey else "no",
        "idle_minutes": str(policy.session_idle_minutes),
    }


def _differences(before: dict[str, str], after: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    changed = [name for name, value in after.items() if before[name] != value]
    return {name: before[name] for name in changed}, {name: after[name] for name in changed}
