"""What can keep provisioning from its work in a tenant's Entra directory, explained to an administrator.

provisioning says which fault it is (`FaultKey`); the console and the command line show Microsoft's own words and, from
`en.json` and `fr.json` here, what they mean and what to do.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

ENGLISH = "en"


class FaultKey(StrEnum):
    """Every fault that has an explanation."""

    # Of the connection as a whole.
    WRONG_SECRET = "wrong_secret"  # noqa: S105 - no password
    EXPIRED_SECRET = "expired_secret"  # noqa: S105
    WRONG_CERTIFICATE = "wrong_certificate"
    UNKNOWN_CLIENT = "unknown_client"
    UNKNOWN_TENANT = "unknown_tenant"
    SIGN_IN_REFUSED = "sign_in_refused"
    SECRET_UNREADABLE = "secret_unreadable"  # noqa: S105
    PERMISSION_MISSING = "permission_missing"
    # Of one person, for good.
    NAME_TAKEN = "name_taken"
    ADDRESS_TAKEN = "address_taken"
    NAME_REFUSED = "name_refused"
    DOMAIN_NOT_VERIFIED = "domain_not_verified"
    DIRECTORY_SYNCED = "directory_synced"
    HOLDS_ROLE = "holds_role"
    ROLES_UNREADABLE = "roles_unreadable"
    DELETED_USER = "deleted_user"
    OTHER_IDENTITY = "other_identity"
    PERSON_REFUSED = "person_refused"
    LICENCE_UNITS = "licence_units"
    LICENCE_UNKNOWN = "licence_unknown"
    LOCATION_MISSING = "location_missing"
    LOCATION_REFUSED = "location_refused"
    REFUSED = "refused"
    # Transient: it is tried again by itself.
    THROTTLED = "throttled"
    SERVICE_AWAY = "service_away"
    NO_ANSWER = "no_answer"
    NOT_VISIBLE_YET = "not_visible_yet"
    OWN_FAULT = "own_fault"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a fault means, and what to do about it."""

    meaning: str
    remedy: str


@cache
def _table(language: str) -> dict[str, dict[str, str]]:
    read: dict[str, dict[str, str]] = json.loads(
        (Path(__file__).parent / f"{language}.json").read_text("utf-8")
    )
    return read


def explanation(key: str, language: str = ENGLISH) -> Explanation:
    """The explanation in that language, `en` or `fr`. Of a key that only a later release knows: look at what Microsoft
    says.
    """
    known = key if key in set(FaultKey) else FaultKey.REFUSED
    return Explanation(**_table(language)[known])


def permission_cost(permission: str, language: str = ENGLISH) -> str:
    """What does not work without that application permission; empty for one that nothing needs."""
    return _table(language)["permissions"].get(permission, "")
