"""What the directory lets an application do with users. Pure: a tenant's state, a body, the time.

Sources: Microsoft's pages on the user resource and its methods; the error texts are recorded ones but for those that
`errors` marks. Not verified: that an empty text is refused everywhere, the anchor of a deleted user as a conflict,
and the words for a PATCH of nothing and for a changed immutable id in a federated domain.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from deploy.standins.graph import schema
from deploy.standins.graph.countries import COUNTRIES
from deploy.standins.graph.errors import (
    bad_request,
    conflict,
    denied,
    invalid,
    not_found,
    not_here,
    read_only,
    required,
    synced,
)
from deploy.standins.graph.exchange import Json
from deploy.standins.graph.model import Application, User, domain_of, new_guid
from deploy.standins.graph.permissions import allowed
from deploy.standins.graph.tenant import Tenant
from shared.ids import Ids

MAX_LENGTH = {
    "displayName": 256,
    "mailNickname": 64,
    "givenName": 64,
    "surname": 64,
    "onPremisesImmutableId": 64,
    "userPrincipalName": 113,
    "jobTitle": 128,
    "department": 64,
    "companyName": 64,
    "employeeId": 16,
    "city": 128,
    "state": 128,
    "country": 128,
    "postalCode": 40,
    "streetAddress": 1024,
    "mobilePhone": 64,
    "officeLocation": 128,
}
"""Characters."""
MAX_UPN_LOCAL = 64
MAX_OTHER_MAILS = 250

WRITABLE = frozenset(MAX_LENGTH) | {
    "accountEnabled",
    "ageGroup",
    "businessPhones",
    "consentProvidedForMinor",
    "employeeHireDate",
    "employeeOrgData",
    "employeeType",
    "faxNumber",
    "mail",
    "onPremisesExtensionAttributes",
    "otherMails",
    "passwordPolicies",
    "passwordProfile",
    "preferredDataLocation",
    "preferredLanguage",
    "showInAddressList",
    "usageLocation",
    "userType",
}
"""Properties that an application may set."""

_ELSEWHERE = (
    "aboutMe birthday hireDate interests mySite pastProjects preferredName responsibilities schools skills "
    "identities customSecurityAttributes mailboxSettings print"
)
ELSEWHERE = frozenset(_ELSEWHERE.split())
"""Writable at Microsoft, but kept by SharePoint or Exchange, or with rules that nobody here needs."""

REQUIRED = ("accountEnabled", "displayName", "mailNickname", "userPrincipalName", "passwordProfile")
"""What POST must have and PATCH cannot take away."""

SENSITIVE = frozenset(
    {
        "accountEnabled",
        "businessPhones",
        "mobilePhone",
        "onPremisesImmutableId",
        "otherMails",
        "passwordProfile",
        "userPrincipalName",
    }
)
"""Of a holder of a directory role these are only changed by who holds a role himself: User.ReadWrite.All is not
enough (Microsoft's page on sensitive actions). Not verified: that userPrincipalName and the immutable id are among
them."""

CLOUD_OWNED = frozenset({"usageLocation", "passwordPolicies", "otherMails", "preferredDataLocation"})
"""What may be set in the cloud although an on-premises directory owns the user."""

NARROW_PERMISSIONS = {
    "User.EnableDisableAccount.All": frozenset({"accountEnabled"}),
    "User-Mail.ReadWrite.All": frozenset({"mail", "otherMails"}),
    "User-PasswordProfile.ReadWrite.All": frozenset({"passwordProfile"}),
    "User-Phone.ReadWrite.All": frozenset({"businessPhones", "mobilePhone"}),
    "User.ManageIdentities.All": frozenset[str](),
}
"""Permissions that open PATCH for some properties only."""

_UPN_LOCAL = re.compile(r"[A-Za-z0-9'.\-_!#^~]+", re.ASCII)
_NICKNAME = re.compile(r"[\x21-\x7e]+", re.ASCII)
_NICKNAME_NEVER = frozenset('@()\\[]";:<>, ')
_MAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
_CLASSES = (re.compile("[a-z]"), re.compile("[A-Z]"), re.compile("[0-9]"), re.compile("[^A-Za-z0-9]"))


def create(tenant: Tenant, body: object, *, now: datetime, ids: Ids) -> User:
    """POST /users. Raises GraphError."""
    given = schema.check_entity("user", body)
    _check_names(given)
    for name in REQUIRED:
        if given.get(name) is None:
            if name == "passwordProfile":
                raise bad_request(
                    "A password must be specified to create a new user.", ("MissingValue", name)
                )
            raise required(name)
    profile = given["passwordProfile"]
    if profile.get("password") is None:
        raise bad_request(
            "A password must be specified to create a new user.", ("MissingValue", "passwordProfile")
        )
    _check_values(tenant, given)
    if tenant.federated(domain_of(given["userPrincipalName"])) and not given.get("onPremisesImmutableId"):
        raise bad_request(
            "SourceAnchor is a required property for creation of a federated user.",
            ("MissingValue", "onPremisesImmutableId"),
        )
    properties = {**_without_nulls(given), "userType": given.get("userType") or "Member"}
    properties.pop("passwordProfile")
    user = User(
        id=new_guid(ids),
        number=tenant.next_number(),
        properties=properties,
        created=now,
        located=now if given.get("usageLocation") else None,
    )
    _check_unique(tenant, user)
    return tenant.put(user)


def update(tenant: Tenant, user: User, body: object, caller: Application, *, now: datetime) -> User:
    """PATCH /users/{id}. Raises GraphError."""
    given = schema.check_entity("user", body)
    _check_names(given)
    if not given:
        raise bad_request("A PATCH needs at least one property.")
    _check_narrow(given, caller)
    for name in REQUIRED:
        if name in given and given[name] is None and name != "passwordProfile":
            raise required(name)
    if user.synced and not set(given) <= CLOUD_OWNED:
        raise synced()
    if user.roles and SENSITIVE & set(given) and not caller.directory_role:
        raise denied()
    _check_values(tenant, given)
    _check_anchor(tenant, user, given)
    merged = {**user.properties, **given}
    merged.pop("passwordProfile", None)
    changed = replace(
        user,
        properties=_without_nulls(merged),
        located=now if given.get("usageLocation") else user.located,
    )
    _check_unique(tenant, changed)
    return tenant.put(changed)


def delete(tenant: Tenant, user: User, caller: Application, *, now: datetime) -> None:
    """DELETE /users/{id}: 30 days in deletedItems, licences given back."""
    _check_may_end(user, caller)
    tenant.put(replace(user, deleted=now))


def restore(tenant: Tenant, user: User, body: object, caller: Application) -> User:
    """POST /directory/deletedItems/{id}/restore, under the old name or `newUserPrincipalName`."""
    given = schema.check_action("restore", body)
    _check_may_end(user, caller)
    properties = dict(user.properties)
    if given.get("newUserPrincipalName") is not None:
        _check_upn(tenant, given["newUserPrincipalName"])
        properties["userPrincipalName"] = given["newUserPrincipalName"]
    if given.get("autoReconcileProxyConflict") is True:
        properties["proxyAddresses"] = [
            each for each in _proxies(user) if tenant.holder_of_address(_bare(each)) is None
        ]
    living = replace(user, properties=properties, deleted=None)
    _check_unique(tenant, living)
    return tenant.put(living)


def purge(tenant: Tenant, user: User, caller: Application) -> None:
    """DELETE /directory/deletedItems/{id}: gone for good."""
    _check_may_end(user, caller)
    tenant.purge(user.id)


def revoke_sessions(tenant: Tenant, user: User, *, now: datetime) -> User:
    """POST /users/{id}/revokeSignInSessions: sessions that began before now no longer count."""
    moment = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    properties = {**user.properties, "signInSessionsValidFromDateTime": moment}
    return tenant.put(replace(user, properties=properties))


def find(tenant: Tenant, key: str, *, strict_key: bool) -> User:
    """A living user by object id or user principal name. Raises GraphError 404.

    `strict_key`: it came as `users('...')`, where apostrophes were doubled and are single again; in a path segment
    (`users/...`) both spellings are taken.
    """
    found = tenant.user(key) if schema.is_guid(key) else tenant.user_by_upn(key)
    if found is None and not strict_key and "''" in key:
        found = tenant.user_by_upn(key.replace("''", "'"))
    if found is None:
        raise not_found(key)
    return found


def find_deleted(tenant: Tenant, key: str) -> User:
    """A deleted user by object id. Raises GraphError 404."""
    found = tenant.deleted_user(key)
    if found is None:
        raise not_found(key)
    return found


def _check_names(given: Mapping[str, Any]) -> None:
    for name in given:
        if name in ELSEWHERE:
            raise not_here(f"how to set '{name}'")
        if name not in WRITABLE and name != "@odata.type":
            raise read_only(name)


def _check_narrow(given: Mapping[str, Any], caller: Application) -> None:
    """Where only narrow permissions open PATCH, only their properties may be set."""
    if caller.permissions & allowed("PATCH", "/users/{id}") - set(NARROW_PERMISSIONS):
        return
    may = frozenset().union(*(NARROW_PERMISSIONS.get(each, frozenset()) for each in caller.permissions))
    if not set(given) <= may:
        raise denied()


def _check_values(tenant: Tenant, given: Json) -> None:
    for name, value in given.items():
        if name == "userPrincipalName" or not isinstance(value, str):
            continue
        if not 0 < len(value) <= MAX_LENGTH.get(name, len(value)):
            raise invalid(name)
    if given.get("userPrincipalName") is not None:
        _check_upn(tenant, given["userPrincipalName"])
    nickname = given.get("mailNickname")
    if nickname is not None and (not _NICKNAME.fullmatch(nickname) or set(nickname) & _NICKNAME_NEVER):
        raise invalid("mailNickname")
    anchor = given.get("onPremisesImmutableId")
    if anchor is not None and (not anchor.isascii() or not anchor.isprintable() or set(anchor) & set("$_")):
        raise invalid("onPremisesImmutableId")
    location = given.get("usageLocation")
    if location is not None and location not in COUNTRIES:
        raise invalid("usageLocation")
    others = given.get("otherMails") or []
    if len(others) > MAX_OTHER_MAILS or not all(_MAIL.fullmatch(each) for each in others):
        raise invalid("otherMails")
    if given.get("mail") is not None and not _MAIL.fullmatch(given["mail"]):
        raise invalid("mail")
    if given.get("userType") not in (None, "Member", "Guest"):
        raise invalid("userType")
    _check_password((given.get("passwordProfile") or {}).get("password"))


def _check_password(password: str | None) -> None:
    """8 to 256 characters of three classes out of four."""
    if password is not None and (
        not 8 <= len(password) <= 256 or sum(each.search(password) is not None for each in _CLASSES) < 3
    ):
        raise bad_request(
            "The specified password does not comply with password complexity requirements. Please provide a "
            "different password.",
            ("InvalidValue", "password"),
        )


def _check_upn(tenant: Tenant, upn: str) -> None:
    """Characters and lengths, then whose domain it is."""
    local, _, domain = upn.rpartition("@")
    if (
        len(upn) > MAX_LENGTH["userPrincipalName"]
        or not _UPN_LOCAL.fullmatch(local)
        or len(local) > MAX_UPN_LOCAL
        or local.startswith(".")
        or local.endswith(".")
    ):
        raise bad_request("Property userPrincipalName is invalid.", ("InvalidValue", "userPrincipalName"))
    if tenant.verified_domain(domain) is None:
        raise bad_request(
            "The domain portion of the userPrincipalName property is invalid. You must use one of the verified "
            "domain names in your organization.",
            ("InvalidValue", "userPrincipalName"),
        )


def _check_anchor(tenant: Tenant, user: User, given: Mapping[str, Any]) -> None:
    """A cloud user's immutable id is not patched while the name is in a federated domain: the name must leave first."""
    name = "onPremisesImmutableId"
    if name in given and given[name] != user.immutable_id:
        if user.roles:
            raise denied()  # since June 2026: a holder of a directory role cannot be hard-matched
        if tenant.federated(domain_of(user.upn)):
            raise bad_request(
                "Property onPremisesImmutableId cannot be changed while userPrincipalName is in a federated domain.",
                ("InvalidValue", name),
            )
    becomes = given.get("userPrincipalName", user.upn)
    anchor = given.get(name, user.immutable_id)
    if "userPrincipalName" in given and tenant.federated(domain_of(becomes)) and not anchor:
        raise bad_request("SourceAnchor is a required property for a federated user.", ("MissingValue", name))


def _check_unique(tenant: Tenant, user: User) -> None:
    holder = tenant.user_by_upn(user.upn)
    if holder is not None and holder.id != user.id:
        raise conflict("userPrincipalName")
    if user.immutable_id is not None:
        holder = tenant.holder_of_immutable_id(user.immutable_id)
        if holder is not None and holder.id != user.id:
            raise conflict("onPremisesImmutableId")
    for address in (user.upn, user.properties.get("mail"), *map(_bare, _proxies(user))):
        holder = tenant.holder_of_address(address) if address else None
        if holder is not None and holder.id != user.id:
            raise conflict("proxyAddresses")


def _proxies(user: User) -> list[str]:
    return [str(each) for each in user.properties.get("proxyAddresses", ())]


def _bare(address: str) -> str:
    """A proxy address without its scheme."""
    return address.partition(":")[2]


def _check_may_end(user: User, caller: Application) -> None:
    if user.synced:
        raise synced()
    if user.roles and not caller.directory_role:
        raise denied()


def _without_nulls(given: Mapping[str, Any]) -> Json:
    return {name: value for name, value in given.items() if value is not None and name != "@odata.type"}
