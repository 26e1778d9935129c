"""The connection to a tenant's Entra directory, and what became of people there (docs/flows/provisioning.md)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.admin.domain.accounts import Account, check_location
from services.admin.domain.devices import AdminCommand
from services.admin.domain.directory import DirectorySettings, read_licence, read_properties
from services.admin.handlers.accounts import change_account, show_account
from services.admin.handlers.common import checked_limit
from services.admin.handlers.tenants import show_tenant
from services.admin.ports import Dependencies
from shared.contracts.admin import MAX_LICENCES
from shared.contracts.envelope import OutgoingMessage
from shared.contracts.provisioning import (
    CheckConnection,
    Checked,
    ConnectionChanged,
    ConnectionSecrets,
    PersonChanged,
    RetryPerson,
    SetConnection,
    WhenRemoved,
    WhenSuspended,
    connection_associated_data,
)
from shared.errors import BadInput, Conflict
from shared.ids import new_id


@dataclass(frozen=True, slots=True)
class DirectoryView:
    """A tenant's connection: what was asked, and what provisioning says of it (None until it has said anything)."""

    asked: DirectorySettings
    known: ConnectionChanged | None

    @property
    def in_force(self) -> bool:
        """Whether provisioning has taken what was asked last."""
        return self.known is not None and self.known.revision >= self.asked.revision


async def set_connection(
    deps: Dependencies,
    slug: str,
    *,
    properties: str | ConnectionSecrets | None = None,
    enabled: bool | None = None,
    when_suspended: WhenSuspended | None = None,
    when_removed: WhenRemoved | None = None,
    secret_ends_at: datetime | None = None,
    expected_revision: int | None = None,
) -> DirectorySettings:
    """Set the connection; what is None stays as it was. The secrets in `properties`, as they were typed or as they were
    read already, are sealed for provisioning at once and kept nowhere; the end of a secret is forgotten with it.
    `expected_revision`: of the settings as the administrator had them on the screen.

    Raises NotFound, BadInput, Conflict (changed meanwhile).
    """
    await show_tenant(deps, slug)
    secrets = read_properties(properties, deps.clock.now()) if isinstance(properties, str) else properties
    sealed: list[str] = [""]

    def step(before: DirectorySettings) -> DirectorySettings:
        if expected_revision is not None and before.revision != expected_revision:
            raise Conflict("admin.connection.changed")
        after = replace(
            before,
            revision=before.revision + 1,
            enabled=before.enabled if enabled is None else enabled,
            when_suspended=when_suspended or before.when_suspended,
            when_removed=when_removed or before.when_removed,
            has_secrets=before.has_secrets or secrets is not None,
            secret_ends_at=_end_after(before.secret_ends_at, secret_ends_at, secrets),
            asked_at=deps.clock.now(),
        )
        if after.enabled and not after.has_secrets:
            raise BadInput("admin.connection.no_properties")
        sealed[0] = _sealed(deps, secrets, slug, after.revision)
        return after

    def command(after: DirectorySettings) -> OutgoingMessage:
        said = SetConnection(
            revision=after.revision,
            enabled=after.enabled,
            when_suspended=after.when_suspended,
            when_removed=after.when_removed,
            sealed=sealed[0],
            secret_ends_at=after.secret_ends_at,
        )
        return OutgoingMessage(said, slug)

    return await deps.directory_settings.change(slug, step, command)


def _end_after(
    before: datetime | None, said: datetime | None, secrets: ConnectionSecrets | None
) -> datetime | None:
    """The end of the secret that is in force then. A certificate says its own."""
    if secrets is None:
        return said or before
    return said if secrets.client_secret else None


def _sealed(deps: Dependencies, secrets: ConnectionSecrets | None, slug: str, revision: int) -> str:
    if secrets is None:
        return ""
    bound_to = connection_associated_data(slug, revision)
    return deps.provisioning_sealer.seal(secrets.model_dump_json().encode(), bound_to)


async def show_connection(deps: Dependencies, slug: str) -> DirectoryView:
    """The connection as it was asked for and as it is. Raises NotFound (no such tenant)."""
    await show_tenant(deps, slug)
    asked = await deps.directory_settings.get(slug)
    return DirectoryView(asked, await deps.directory.connection(slug))


async def check_connection(deps: Dependencies, slug: str) -> str:
    """Ask for a check; its id. `checked` finds its result. Raises NotFound, Conflict (there is no connection)."""
    view = await show_connection(deps, slug)
    if not view.asked.has_secrets:
        raise Conflict("admin.connection.none", tenant=slug)
    check = new_id(deps.ids)
    record = AdminCommand(
        id=check, tenant=slug, account="", what="check_connection", asked_at=deps.clock.now()
    )
    await deps.admin_commands.add(record, OutgoingMessage(CheckConnection(check=check), slug))
    return check


async def checked(deps: Dependencies, slug: str, check: str) -> Checked | None:
    """What that check found; None while there is no result, or a later check has one."""
    known = await deps.directory.connection(slug)
    found = known.checked if known is not None else None
    return found if found is not None and found.check == check else None


async def directory_person(deps: Dependencies, slug: str, name: str) -> tuple[Account, PersonChanged | None]:
    """An account, and what became of it in the directory; None when provisioning has said nothing. Raises NotFound."""
    account = await show_account(deps, slug, name)
    return account, await deps.directory.person(slug, account.id)


async def failed_people(
    deps: Dependencies, slug: str, *, after: str = "", limit: int = 50
) -> Sequence[PersonChanged]:
    """People whose job has failed, in the order of their ids, behind `after`. Raises NotFound, BadInput (limit)."""
    await show_tenant(deps, slug)
    return await deps.directory.failed(slug, after, checked_limit(limit))


async def retry_person(deps: Dependencies, slug: str, name: str) -> Account:
    """Try again what has failed: the command names the failure that is known here, and no later one.

    Raises NotFound, Conflict (nothing has failed).
    """
    account, known = await directory_person(deps, slug, name)
    if known is None or known.state != "failed":
        raise Conflict("admin.person.not_failed", upn=account.upn)
    record = AdminCommand(
        id=new_id(deps.ids),
        tenant=slug,
        account=account.id,
        what="retry_person",
        asked_at=deps.clock.now(),
    )
    command = RetryPerson(account=account.id, version=known.version)
    await deps.admin_commands.add(record, OutgoingMessage(command, slug))
    return account


def chosen_licences(names: Sequence[str], known: ConnectionChanged | None) -> tuple[str, ...]:
    """Their SKU ids in order, each once. Raises BadInput."""
    found = known.checked.licences if known is not None and known.checked is not None else ()
    chosen = {read_licence(each, found) for each in names}
    if len(chosen) > MAX_LICENCES:
        raise BadInput("admin.licence.too_many", most=MAX_LICENCES)
    return tuple(sorted(chosen))


async def set_licences(
    deps: Dependencies,
    slug: str,
    name: str,
    *,
    usage_location: str | None = None,
    licences: Sequence[str] | None = None,
    expected_version: int | None = None,
) -> Account:
    """Which licences the person has from here, by SKU id or by name, and the usage location; what is None stays.
    `expected_version`: of the account as the administrator had it on the screen.

    Raises NotFound, BadInput, Conflict (changed meanwhile).
    """
    account = await show_account(deps, slug, name)
    location = None if usage_location is None else check_location(usage_location)
    known = await deps.directory.connection(slug)
    skus = None if licences is None else chosen_licences(licences, known)

    def step(before: Account) -> Account:
        return replace(
            before,
            usage_location=before.usage_location if location is None else location,
            licences=before.licences if skus is None else skus,
            version=before.version + 1,
        )

    return await change_account(deps, account, step, name=name, expected_version=expected_version)
