"""Which application permissions a check looks for, and how: docs/entra-permissions.md has the same table in words."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.provisioning.domain import requests
from services.provisioning.domain.requests import GraphAnswer, GraphRequest
from shared.contracts.provisioning import Permission

NOBODY = "00000000-0000-4000-8000-b10365b10365"
"""An object id that no user has."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A request that shows whether a permission is there. `granted`: statuses that mean that it is."""

    permission: str
    request: GraphRequest
    granted: frozenset[int]


PROBES = (
    Probe("User.ReadWrite.All", requests.change_of_nobody(NOBODY), frozenset({404})),
    Probe("LicenseAssignment.Read.All", requests.subscribed_skus(), frozenset({200})),
    Probe("Domain.Read.All", requests.domains(), frozenset({200})),
    Probe("RoleManagement.Read.Directory", requests.directory_roles(NOBODY), frozenset({404})),
)


def judged(answers: Mapping[str, GraphAnswer]) -> tuple[Permission, ...]:
    """What the answers, by permission, say. Neither granted nor refused: not known."""
    made = []
    for probe in PROBES:
        status = answers[probe.permission].status
        granted = True if status in probe.granted else False if status == 403 else None
        made.append(Permission(name=probe.permission, granted=granted))
    return tuple(made)


def verified_domains(answer: GraphAnswer) -> tuple[str, ...]:
    """Names of the directory's verified domains."""
    return tuple(sorted(str(each.get("id")) for each in answer.values if each.get("isVerified") is True))
