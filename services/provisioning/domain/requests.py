"""The requests to Microsoft Graph, one function for each, and what their answers say. Microsoft Graph v1.0, `user`.

Urls are relative to `/v1.0` and percent-encoded, in the form in which `$batch` takes them too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from services.provisioning.domain.steps import User, changed_names
from services.provisioning.domain.wanted import Facts, Wanted, mail_nickname
from shared.contracts.provisioning import Licence

Json = Any

SELECT = (
    "id,userPrincipalName,displayName,givenName,surname,accountEnabled,usageLocation,"
    "onPremisesImmutableId,onPremisesSyncEnabled,assignedLicenses,createdDateTime"
)
"""Without `$select` a user has its default properties only, and absent is not null."""
FIELDS = {
    "display_name": "displayName",
    "given_name": "givenName",
    "surname": "surname",
    "usage_location": "usageLocation",
}
"""What `UPDATE` sets: the field of `Facts`, and the property of the user."""


NEXT_LINK = "@odata.nextLink"
"""Where the next page of a list is (Microsoft Graph, "Paging")."""


@dataclass(frozen=True, slots=True)
class GraphRequest:
    """One request. `body`: JSON, or None for none."""

    method: str
    url: str
    body: Mapping[str, Json] | None = None


@dataclass(frozen=True, slots=True)
class GraphAnswer:
    """One answer, or that there was none."""

    status: int | None
    """None: no answer came, so it is unknown whether the request was carried out."""
    body: Mapping[str, Json] = field(default_factory=dict)
    request_id: str = ""
    retry_after: timedelta | None = None
    load: float = 0.0
    """`x-ms-throttle-limit-percentage`: which part of a limit is used up, from 0.8 on; 0 where it is not said."""

    @property
    def ok(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def error(self) -> tuple[str, str]:
        """Microsoft's code and words; empty where the body is no error of Graph's."""
        found = self.body.get("error")
        if not isinstance(found, Mapping):
            return "", ""
        return str(found.get("code") or ""), str(found.get("message") or "")

    @property
    def details(self) -> str:
        """Codes and targets of an error's `details`, in one string."""
        found = self.body.get("error")
        details = found.get("details") if isinstance(found, Mapping) else None
        if not isinstance(details, Sequence) or isinstance(details, str):
            return ""
        each = [d for d in details if isinstance(d, Mapping)]
        return " ".join(f"{d.get('code', '')} {d.get('target', '')}" for d in each)

    @property
    def values(self) -> Sequence[Mapping[str, Json]]:
        """The objects of a list; empty for what is no list."""
        found = self.body.get("value")
        if not isinstance(found, Sequence) or isinstance(found, str):
            return ()
        return [each for each in found if isinstance(each, Mapping)]

    @property
    def ends_list(self) -> bool:
        """Whether it is a list, or the last page of one. A page may be empty although others follow."""
        return isinstance(self.body.get("value"), list) and NEXT_LINK not in self.body


def literal(text: str) -> str:
    """A string in an OData filter: a quote is doubled (OData 4.01 part 2, section 5.1.1.6.1), then percent-encoded.

    `#` would end the URL otherwise, `&` the parameter, and `+` be read as a space.
    """
    return quote("'" + text.replace("'", "''") + "'", safe="")


def user_by_id(object_id: str) -> GraphRequest:
    """A user by its object id, 404 when there is none."""
    return GraphRequest("GET", f"/users/{quote(object_id, safe='')}?$select={SELECT}")


def users_by_immutable_id(immutable_id: str) -> GraphRequest:
    """Users whose ImmutableID is that, perhaps in another case: compare it exactly."""
    where = f"onPremisesImmutableId%20eq%20{literal(immutable_id)}"
    return GraphRequest("GET", f"/users?$filter={where}&$select={SELECT}")


def users_by_name(upn: str) -> GraphRequest:
    """The user with that userPrincipalName, in a list."""
    return GraphRequest("GET", f"/users?$filter=userPrincipalName%20eq%20{literal(upn)}&$select={SELECT}")


def deleted_by_immutable_id(immutable_id: str) -> GraphRequest:
    """The same among the users that were deleted in the last 30 days."""
    where = f"onPremisesImmutableId%20eq%20{literal(immutable_id)}"
    return GraphRequest(
        "GET", f"/directory/deletedItems/microsoft.graph.user?$filter={where}&$select={SELECT}"
    )


def directory_roles(object_id: str) -> GraphRequest:
    """The directory roles that a user holds, also through groups."""
    path = f"/users/{quote(object_id, safe='')}/transitiveMemberOf/microsoft.graph.directoryRole"
    return GraphRequest("GET", f"{path}?$select=id")


def next_page(answer: GraphAnswer) -> GraphRequest | None:
    """The page behind that one, of the same Graph, whatever host its link names; None for none."""
    _, _, url = str(answer.body.get(NEXT_LINK) or "").partition("/v1.0/")
    return GraphRequest("GET", f"/{url}") if url else None


def create(wanted: Wanted, password: str) -> GraphRequest:
    """A new user. `password` is random and shown to nobody: the domain is federated, so it opens nothing."""
    facts = wanted.facts
    body: dict[str, Json] = {
        "accountEnabled": facts.enabled,
        "displayName": facts.display_name,
        "givenName": facts.given_name,
        "surname": facts.surname,
        "mailNickname": mail_nickname(facts.upn),
        "userPrincipalName": facts.upn,
        "onPremisesImmutableId": wanted.immutable_id,
        "passwordProfile": {"password": password, "forceChangePasswordNextSignIn": False},
    }
    if facts.usage_location:
        body["usageLocation"] = facts.usage_location
    return GraphRequest("POST", "/users", body)


def enable(object_id: str, enabled: bool) -> GraphRequest:
    """Let the user sign in, or not."""
    return _patch(object_id, {"accountEnabled": enabled})


def rename(object_id: str, upn: str) -> GraphRequest:
    """Another user name. mailNickname and addresses stay: mail to them goes on."""
    return _patch(object_id, {"userPrincipalName": upn})


def update(object_id: str, new: Facts, old: Facts) -> GraphRequest:
    """Set what differs in names and usage location."""
    return _patch(object_id, {FIELDS[name]: getattr(new, name) for name in changed_names(new, old)})


def _patch(object_id: str, body: Mapping[str, Json]) -> GraphRequest:
    return GraphRequest("PATCH", f"/users/{quote(object_id, safe='')}", body)


def delete(object_id: str) -> GraphRequest:
    """Delete the user, which is kept among the deleted ones for 30 days."""
    return GraphRequest("DELETE", f"/users/{quote(object_id, safe='')}")


def restore(object_id: str) -> GraphRequest:
    """Bring a deleted user back."""
    return GraphRequest("POST", f"/directory/deletedItems/{quote(object_id, safe='')}/restore", {})


def revoke_sessions(object_id: str) -> GraphRequest:
    """Make every refresh token and session cookie of the user invalid."""
    return GraphRequest("POST", f"/users/{quote(object_id, safe='')}/revokeSignInSessions", {})


def assign_licences(object_id: str, new: Facts, old: Facts) -> GraphRequest:
    """Both lists are always there: Graph refuses a request with one of them."""
    body = {
        "addLicenses": [
            {"skuId": sku, "disabledPlans": []} for sku in new.licences if sku not in old.licences
        ],
        "removeLicenses": [sku for sku in old.licences if sku not in new.licences],
    }
    return GraphRequest("POST", f"/users/{quote(object_id, safe='')}/assignLicense", body)


def subscribed_skus() -> GraphRequest:
    """The directory's licences. There is no `$filter` on these."""
    return GraphRequest(
        "GET", "/subscribedSkus?$select=skuId,skuPartNumber,capabilityStatus,consumedUnits,prepaidUnits"
    )


def domains() -> GraphRequest:
    """The directory's domains."""
    return GraphRequest("GET", "/domains?$select=id,isVerified")


def change_of_nobody(object_id: str) -> GraphRequest:
    """A change of a user that does not exist: 403 where changes are not permitted, 404 where they are.

    Not verified against the real Graph: that it looks at permissions before it looks for the user.
    """
    return _patch(object_id, {"displayName": "Blok365"})


def read_user(found: Mapping[str, Json]) -> User | None:
    """A user of an answer; None for what is none."""
    object_id = found.get("id")
    if not isinstance(object_id, str) or not object_id:
        return None
    licences = [
        str(each["skuId"]).lower()
        for each in found.get("assignedLicenses") or ()
        if isinstance(each, Mapping) and "skuId" in each
    ]
    facts = Facts(
        upn=str(found.get("userPrincipalName") or ""),
        display_name=str(found.get("displayName") or ""),
        given_name=str(found.get("givenName") or ""),
        surname=str(found.get("surname") or ""),
        usage_location=str(found.get("usageLocation") or ""),
        enabled=found.get("accountEnabled") is True,
        licences=tuple(sorted(licences)),
    )
    return User(
        object_id=object_id,
        immutable_id=str(found.get("onPremisesImmutableId") or ""),
        facts=facts,
        synced=found.get("onPremisesSyncEnabled") is True,
        created_at=_time(found.get("createdDateTime")),
    )


def _time(text: Json) -> datetime | None:
    try:
        read = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return read if read.tzinfo is not None else None


def read_licences(answer: GraphAnswer) -> tuple[Licence, ...]:
    """The subscribed SKUs that can be assigned, by name, with the units that are left."""
    made = []
    for each in answer.values:
        units = each.get("prepaidUnits")
        if each.get("capabilityStatus") != "Enabled" or not isinstance(units, Mapping):
            continue
        left = int(units.get("enabled") or 0) - int(each.get("consumedUnits") or 0)
        made.append(
            Licence(sku=str(each.get("skuId")).lower(), name=str(each.get("skuPartNumber"))[:120], left=left)
        )
    return tuple(sorted(made, key=lambda licence: licence.name))
