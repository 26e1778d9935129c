"""The methods of Graph: one function for each, and the table that is their index, at the end.

Who may call and whether the request goes wrong on purpose is decided before (`standin`).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from deploy.standins.graph import delta, domains, licences, odata, schema, users, views
from deploy.standins.graph.errors import malformed, not_found, not_json
from deploy.standins.graph.exchange import Answer, Json, Request, parsed_json
from deploy.standins.graph.faults import Kind, Rule
from deploy.standins.graph.model import Application, User
from deploy.standins.graph.routes import BASE, Place
from deploy.standins.graph.tenant import Tenant
from shared.ids import Ids

NO_OPTIONS = frozenset({"$select"})
ROLE = "microsoft.graph.directoryRole"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How Graph behaves where Microsoft's documents leave it open, or tenants differ."""

    location_lag: float = 0.0
    """Seconds after setting usageLocation in which licences do not see it."""
    federation_patch_status: int = 204
    """Answer to PATCH of a federation configuration: 204 or 200."""
    revoke_status: int = 200
    """Answer to revokeSignInSessions: 200 with `true`, or 204."""
    delta_page: int = delta.PAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request that may be carried out."""

    request: Request
    place: Place
    tenant: Tenant
    caller: Application
    origin: str
    now: datetime
    ids: Ids
    settings: Settings
    issuers: Callable[[], Iterable[str]]
    """Every issuerUri of every tenant."""
    hides: Callable[[User], bool]
    """Does this read meet a replica that does not know the user yet?"""
    faults: tuple[Rule, ...]

    def key(self, index: int = 0) -> str:
        return self.place.keys[index].value

    def body(self) -> object:
        """The JSON value of the body. Raises GraphError 400."""
        if not self.request.body:
            raise malformed("Empty Payload. JSON content expected.")
        if self.request.content_type != "application/json":
            raise malformed(
                "Write requests (excluding DELETE) must contain the Content-Type header declaration."
            )
        try:
            return parsed_json(self.request.body)
        except (ValueError, RecursionError) as error:
            raise not_json() from error

    def query(self, type_name: str, allowed: frozenset[str] = NO_OPTIONS) -> odata.Query:
        advanced = self.request.headers.get("consistencylevel", "").lower() == "eventual"
        return odata.parse(self.request.query, type_name, advanced=advanced, allowed=allowed)

    def context(self, of: str) -> Json:
        return {"@odata.context": f"{self.origin}{BASE}/$metadata#{of}"}

    def user(self) -> User:
        """The living user that the path names. Raises GraphError 404."""
        key = self.place.keys[0]
        found = users.find(self.tenant, key.value, strict_key=key.quoted)
        if self.hides(found):
            raise not_found(key.value)
        return found

    def fault(self, kind: Kind) -> Rule | None:
        return next((rule for rule in self.faults if rule.kind is kind), None)


def create_user(call: Call) -> Answer:
    """POST /users."""
    created = users.create(call.tenant, call.body(), now=call.now, ids=call.ids)
    location = (
        f"{call.origin}/v2/{call.tenant.id}/directoryObjects/{created.id}/Microsoft.DirectoryServices.User"
    )
    body = {**call.context("users/$entity"), **views.user(created, None)}
    return Answer(201, body, {"Location": location})


def get_user(call: Call) -> Answer:
    """GET /users/{id}."""
    query = call.query("user")
    return Answer(200, {**call.context("users/$entity"), **views.user(call.user(), query.select)})


def list_users(call: Call) -> Answer:
    """GET /users."""
    return _list(call, call.tenant.users(), deleted=False)


def update_user(call: Call) -> Answer:
    """PATCH /users/{id}."""
    users.update(call.tenant, call.user(), call.body(), call.caller, now=call.now)
    return Answer(204)


def delete_user(call: Call) -> Answer:
    """DELETE /users/{id}."""
    users.delete(call.tenant, call.user(), call.caller, now=call.now)
    return Answer(204)


def revoke_sessions(call: Call) -> Answer:
    """POST /users/{id}/revokeSignInSessions."""
    if call.request.body:
        schema.check_action("revokeSignInSessions", call.body())
    users.revoke_sessions(call.tenant, call.user(), now=call.now)
    if call.settings.revoke_status == 204:
        return Answer(204)
    return Answer(call.settings.revoke_status, {**call.context("Edm.Boolean"), "value": True})


def assign_licence(call: Call) -> Answer:
    """POST /users/{id}/assignLicense."""
    changed = licences.assign(
        call.tenant, call.user(), call.body(), now=call.now, location_lag=call.settings.location_lag
    )
    return Answer(200, {**call.context("users/$entity"), **views.user(changed, None)})


def licence_details(call: Call) -> Answer:
    """GET /users/{id}/licenseDetails."""
    call.query("licenseDetails", frozenset())
    shown = list(licences.details(call.tenant, call.user()))
    return Answer(200, {**call.context(f"users('{call.key()}')/licenseDetails"), "value": shown})


def member_of(call: Call) -> Answer:
    """GET /users/{id}/memberOf and transitiveMemberOf: the directory roles; groups are not known here."""
    query = call.query("directoryRole")
    shown: list[Json] = []
    for role in call.user().roles:
        whole = {"id": _role_id(role), "displayName": role, "roleTemplateId": _role_id(role)}
        names = query.select or tuple(schema.properties("directoryRole"))
        shown.append({"@odata.type": f"#{ROLE}", **views.selected(whole, names, "directoryRole")})
    return Answer(200, {**call.context("directoryObjects"), "value": shown})


def user_changes(call: Call) -> Answer:
    """GET /users/delta."""
    size = call.settings.delta_page
    page = delta.page(
        call.tenant, call.request.query, address=f"{call.origin}{BASE}/users/delta", size=size, now=call.now
    )
    return Answer(200, {**call.context("users"), **page})


def list_deleted(call: Call) -> Answer:
    """GET /directory/deletedItems/microsoft.graph.user."""
    return _list(call, call.tenant.deleted_users(), deleted=True)


def get_deleted(call: Call) -> Answer:
    """GET /directory/deletedItems/{id}."""
    query = call.query("user")
    user = users.find_deleted(call.tenant, call.key())
    shown = {"@odata.type": "#microsoft.graph.user", **views.user(user, query.select)}
    return Answer(200, {**call.context("directoryObjects/$entity"), **shown})


def restore_user(call: Call) -> Answer:
    """POST /directory/deletedItems/{id}/restore."""
    body = call.body() if call.request.body else {}
    user = users.restore(call.tenant, users.find_deleted(call.tenant, call.key()), body, call.caller)
    shown = {"@odata.type": "#microsoft.graph.user", **views.user(user, None)}
    return Answer(200, {**call.context("directoryObjects/$entity"), **shown})


def purge_user(call: Call) -> Answer:
    """DELETE /directory/deletedItems/{id}."""
    users.purge(call.tenant, users.find_deleted(call.tenant, call.key()), call.caller)
    return Answer(204)


def list_skus(call: Call) -> Answer:
    """GET /subscribedSkus."""
    query = call.query("subscribedSku")
    shown = [licences.view(call.tenant, sku) for sku in call.tenant.skus.values()]
    return _collection(call, "subscribedSkus", shown, query, "subscribedSku")


def get_sku(call: Call) -> Answer:
    """GET /subscribedSkus/{id}."""
    call.query("subscribedSku", frozenset())
    sku = licences.find(call.tenant, call.key())
    return Answer(200, {**call.context("subscribedSkus/$entity"), **licences.view(call.tenant, sku)})


def list_domains(call: Call) -> Answer:
    """GET /domains."""
    query = call.query("domain")
    shown = [views.domain(call.tenant, each) for each in call.tenant.domains.values()]
    return _collection(call, "domains", shown, query, "domain")


def get_domain(call: Call) -> Answer:
    """GET /domains/{id}."""
    query = call.query("domain")
    shown = views.domain(call.tenant, domains.find(call.tenant, call.key()))
    picked = views.selected(shown, query.select, "domain") if query.select else shown
    return Answer(200, {**call.context("domains/$entity"), **picked})


def update_domain(call: Call) -> Answer:
    """PATCH /domains/{id}."""
    domains.update(call.tenant, domains.find(call.tenant, call.key()), call.body())
    return Answer(204)


def get_federations(call: Call) -> Answer:
    """GET /domains/{id}/federationConfiguration."""
    call.query("internalDomainFederation", frozenset())
    domain = domains.find(call.tenant, call.key())
    context = call.context(f"domains('{domain.id}')/federationConfiguration")
    return Answer(200, {**context, "value": [domains.federation_of(domain)]})


def get_federation(call: Call) -> Answer:
    """GET /domains/{id}/federationConfiguration/{id}."""
    call.query("internalDomainFederation", frozenset())
    domain = domains.find(call.tenant, call.key())
    return Answer(200, {**_federation_context(call), **domains.federation_of(domain, call.key(1))})


def federate(call: Call) -> Answer:
    """POST /domains/{id}/federationConfiguration."""
    domain = domains.find(call.tenant, call.key())
    made = domains.federate(
        call.tenant, domain, call.body(), call.caller, issuers=call.issuers(), ids=call.ids
    )
    _lose_slashes(call)
    return Answer(201, {**_federation_context(call), **made})


def update_federation(call: Call) -> Answer:
    """PATCH /domains/{id}/federationConfiguration/{id}."""
    domain = domains.find(call.tenant, call.key())
    changed = domains.update_federation(
        call.tenant, domain, call.key(1), call.body(), call.caller, issuers=call.issuers()
    )
    _lose_slashes(call)
    if call.settings.federation_patch_status == 204:
        return Answer(204)
    return Answer(200, {**_federation_context(call), **changed})


def unfederate(call: Call) -> Answer:
    """DELETE /domains/{id}/federationConfiguration/{id}."""
    domain = domains.find(call.tenant, call.key())
    domains.unfederate(call.tenant, domain, call.key(1), call.caller)
    return Answer(204)


def _list(call: Call, of: Iterable[User], *, deleted: bool) -> Answer:
    """A page of users in the order of creation, with a nextLink where there are more."""
    query = call.query("user", frozenset(odata.KNOWN_OPTIONS))
    of = _candidates(call, query.filter, of, deleted=deleted)
    test = query.filter.test if query.filter is not None else None
    found = [user for user in of if (test is None or test(views.whole(user))) and not call.hides(user)]
    found.sort(key=lambda user: user.number)
    after = query.after.get("after", 0) if query.after else 0
    size = query.top or odata.DEFAULT_PAGE
    rest = [user for user in found if user.number > after]
    body = call.context("users" if not deleted else "directoryObjects")
    if query.count:
        body["@odata.count"] = len(found)
    if len(rest) > size:
        others = [part for part in call.request.query.split("&") if not part.lower().startswith(_SKIP)]
        token = odata.packed({"after": rest[size - 1].number})
        path = f"{call.origin}{BASE}{call.place.template}"
        body["@odata.nextLink"] = f"{path}?{'&'.join([*others, f'$skiptoken={token}'])}"
    body["value"] = [views.user(user, query.select) for user in rest[:size]]
    return Answer(200, body)


_SKIP = ("$skiptoken=", "%24skiptoken=", "skiptoken=")


def _candidates(
    call: Call, given: odata.Filter | None, of: Iterable[User], *, deleted: bool
) -> Iterable[User]:
    """Where an index answers the whole filter, the users it names; otherwise all."""
    match given.only if given is not None else None:
        case ("onPremisesImmutableId", value):
            holder = call.tenant.holder_of_immutable_id(value)
            return [holder] if holder is not None and (holder.deleted is not None) == deleted else []
        case ("userPrincipalName", value) if not deleted:
            holder = call.tenant.user_by_upn(value)
            return [holder] if holder is not None else []
    return of


def _collection(call: Call, name: str, shown: list[Json], query: odata.Query, type_name: str) -> Answer:
    names = query.select
    value = [views.selected(each, names, type_name) for each in shown] if names else shown
    return Answer(200, {**call.context(name), "value": value})


def _federation_context(call: Call) -> Json:
    return call.context(f"domains('{call.key()}')/federationConfiguration/$entity")


def _lose_slashes(call: Call) -> None:
    if call.fault(Kind.LOSE_SLASHES) is not None:
        domains.lose_slashes(call.tenant, call.key())


def _role_id(name: str) -> str:
    """The template id of a role that Microsoft gives the same id everywhere; of another a made-up one."""
    known = {
        "Global Administrator": "62e90394-69f5-4237-9190-012177145e10",
        "User Administrator": "fe930be7-5e62-47db-91af-98c3a49a38b1",
    }
    return known.get(name, f"00000000-0000-4000-8000-{sum(name.encode()):012x}")


METHODS: Mapping[tuple[str, str], Callable[[Call], Answer]] = {
    ("GET", "/users"): list_users,
    ("POST", "/users"): create_user,
    ("GET", "/users/delta"): user_changes,
    ("GET", "/users/{id}"): get_user,
    ("PATCH", "/users/{id}"): update_user,
    ("DELETE", "/users/{id}"): delete_user,
    ("POST", "/users/{id}/assignLicense"): assign_licence,
    ("GET", "/users/{id}/licenseDetails"): licence_details,
    ("POST", "/users/{id}/revokeSignInSessions"): revoke_sessions,
    ("GET", "/users/{id}/memberOf"): member_of,
    ("GET", f"/users/{{id}}/memberOf/{ROLE}"): member_of,
    ("GET", "/users/{id}/transitiveMemberOf"): member_of,
    ("GET", f"/users/{{id}}/transitiveMemberOf/{ROLE}"): member_of,
    ("GET", "/directory/deletedItems/microsoft.graph.user"): list_deleted,
    ("GET", "/directory/deletedItems/{id}"): get_deleted,
    ("DELETE", "/directory/deletedItems/{id}"): purge_user,
    ("POST", "/directory/deletedItems/{id}/restore"): restore_user,
    ("GET", "/subscribedSkus"): list_skus,
    ("GET", "/subscribedSkus/{id}"): get_sku,
    ("GET", "/domains"): list_domains,
    ("GET", "/domains/{id}"): get_domain,
    ("PATCH", "/domains/{id}"): update_domain,
    ("GET", "/domains/{id}/federationConfiguration"): get_federations,
    ("POST", "/domains/{id}/federationConfiguration"): federate,
    ("GET", "/domains/{id}/federationConfiguration/{id}"): get_federation,
    ("PATCH", "/domains/{id}/federationConfiguration/{id}"): update_federation,
    ("DELETE", "/domains/{id}/federationConfiguration/{id}"): unfederate,
}
