"""A tenant's connection: set, and checked (docs/flows/provisioning.md, steps 1 and 2)."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import structlog
from cryptography import x509
from pydantic import ValidationError

from services.provisioning.domain.answers import SignInFailed
from services.provisioning.domain.connection import Connection, Credential, was_checked, was_set
from services.provisioning.domain.person import Fault
from services.provisioning.domain.probes import PROBES, judged, verified_domains
from services.provisioning.domain.requests import read_licences
from services.provisioning.ports import Dependencies, Target
from shared.bus.port import Reject
from shared.clouds import CLOUDS
from shared.contracts.envelope import VerifiedMessage
from shared.contracts.provisioning import (
    CheckConnection,
    Checked,
    ConnectionSecrets,
    SetConnection,
    connection_associated_data,
)
from shared.crypto.sealed_box import CannotOpen
from shared.directory import FaultKey

log = structlog.get_logger(__name__)


async def connection_set(deps: Dependencies, received: VerifiedMessage[SetConnection]) -> None:
    """`provisioning.connection.set.v1`: take the settings, unless later ones are in force. Raises Reject for secrets
    that do not open, without what they say.
    """
    command, tenant = received.message, received.tenant
    credential = None
    if command.sealed:
        # `from None`: pydantic's exceptions quote the values that they refuse, and those would reach the log.
        try:
            bound_to = connection_associated_data(tenant, command.revision)
            secrets = ConnectionSecrets.model_validate_json(deps.opener.open(command.sealed, bound_to))
        except CannotOpen as error:
            raise Reject(str(error)) from None
        except ValidationError as error:
            raise Reject(f"no connection's secrets: {error.error_count()} faults") from None
        credential = Credential(
            client_id=secrets.client_id,
            tenant_domain=secrets.tenant_domain,
            kind="secret" if secrets.client_secret else "certificate",
            ends=_end_of(secrets),
            sealed=deps.connections.seal(secrets.model_dump_json().encode(), tenant, command.revision),
        )
    changed = await deps.connections.change(tenant, lambda before: was_set(before, command, credential))
    if changed is None:
        log.info("connection.late_setting", tenant=tenant, revision=command.revision)
        return
    log.info("connection.set", tenant=tenant, revision=command.revision, state=changed.state)
    deps.queue.wake(tenant)


async def check_asked(deps: Dependencies, received: VerifiedMessage[CheckConnection]) -> None:
    """`provisioning.connection.check.v1`: note that it was asked for. The worker makes it, since it takes its time."""
    asked = received.message.check

    def note(before: Connection) -> Connection | None:
        known = before.checked is not None and before.checked.check == asked
        return None if known or before.check_asked == asked else replace(before, check_asked=asked)

    await deps.connections.change(received.tenant, note)
    deps.queue.wake(received.tenant)


async def check(deps: Dependencies, connection: Connection) -> None:
    """Sign in, and find out what is permitted. The result is written unless the connection was set anew meanwhile."""
    asked, now = connection.check_asked, deps.clock.now()
    target = await target_of(deps, connection)
    fault: Fault | None = None
    if target is None:
        fault = Fault(FaultKey.SECRET_UNREADABLE, now)
        result = Checked(check=asked, at=now, fault=fault.message())
    else:
        try:
            answers = await asyncio.gather(*(deps.directory.call(target, probe.request) for probe in PROBES))
        except SignInFailed as error:
            fault = sign_in_fault(deps, error)
            result = Checked(check=asked, at=now, fault=fault.message())
        else:
            by_name = {probe.permission: answer for probe, answer in zip(PROBES, answers, strict=True)}
            result = Checked(
                check=asked,
                at=now,
                permissions=judged(by_name),
                domains=verified_domains(by_name["Domain.Read.All"]),
                licences=read_licences(by_name["LicenseAssignment.Read.All"]),
            )

    def take(before: Connection) -> Connection | None:
        if before.revision != connection.revision:
            return None
        if fault is not None and fault.key in TRANSIENT:  # it says nothing of the connection
            return replace(before, checked=result)
        return was_checked(before, result, fault, now)

    await deps.connections.change(connection.tenant, take)
    deps.queue.wake(connection.tenant)


TRANSIENT = (FaultKey.NO_ANSWER, FaultKey.SERVICE_AWAY, FaultKey.THROTTLED)
"""Faults of a check after which the connection is as it was."""


async def target_of(deps: Dependencies, connection: Connection) -> Target | None:
    """Where the connection leads; None when it has no secrets, they do not open, or the tenant is not known yet."""
    cloud = await deps.tenants.cloud(connection.tenant)
    secrets = deps.connections.unseal(connection) if connection.sealed else None
    if cloud is None or secrets is None:
        return None
    origins = CLOUDS[cloud]
    return Target(
        tenant=connection.tenant,
        revision=connection.revision,
        authority=deps.authority_url or origins.authority,
        graph=deps.graph_url or origins.graph,
        audience=origins.graph,
        secrets=secrets,
    )


def sign_in_fault(deps: Dependencies, error: SignInFailed) -> Fault:
    """As it is kept and told."""
    return Fault(error.key, deps.clock.now(), error.code, error.words, error.trace_id)


def _end_of(secrets: ConnectionSecrets) -> datetime | None:
    """When the certificate ends; None for a secret, whose end only Entra knows. Raises Reject for what is none."""
    if not secrets.certificate:
        return None
    try:
        certificate = x509.load_pem_x509_certificate(secrets.certificate.encode())
    except ValueError:
        raise Reject("the certificate is none") from None
    return certificate.not_valid_after_utc.astimezone(UTC)
