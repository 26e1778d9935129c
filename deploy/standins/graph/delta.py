"""`GET /users/delta`: what changed since a token, page by page (Microsoft's page on delta queries)."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from deploy.standins.graph import odata, views
from deploy.standins.graph.errors import GraphError, bad_request
from deploy.standins.graph.exchange import Json
from deploy.standins.graph.tenant import Tenant

LIFE = timedelta(days=7)
OPTIONS = frozenset({"$select", "$deltatoken", "$skiptoken", "$top"})
PAGE = 200


def page(tenant: Tenant, query: str, *, address: str, size: int, now: datetime) -> Json:
    """One page: objects, and a nextLink or, at the end, a deltaLink. Raises GraphError.

    A token carries the tenant's change that the last round ended with; 7 days later it is refused with 410, and one
    of another directory (a stand-in that was started anew) with 400 `syncStateNotFound`: both mean to start over.
    """
    given = odata.options(query)
    for name in given:
        if name not in OPTIONS:
            raise bad_request(f"The query option '{name}' is not supported with delta.")
    if "$skiptoken" in given and "$deltatoken" in given:
        raise bad_request("Badly formed token.")
    latest = given.get("$deltatoken") == "latest"
    token = given.get("$skiptoken") or (None if latest else given.get("$deltatoken"))
    state = _state(tenant, token, given.get("$select"), address, now)
    if latest:
        state = {**state, "since": tenant.changes, "until": tenant.changes}
    select = (
        odata.parse(f"$select={state['select']}", "user", advanced=False).select if state["select"] else None
    )
    changes = sorted(_changes(tenant, state["since"], state["until"], first=state["first"], select=select))
    rest = [each for each in changes if each[0] > state["after"]]
    shown = [item for _, _, item in rest[:size]]
    if len(rest) > size:
        link = _link(address, "$skiptoken", {**state, "after": rest[size - 1][0]})
        return {"@odata.nextLink": link, "value": shown}
    ended = {
        **state,
        "since": state["until"],
        "until": None,
        "after": 0,
        "first": False,
        "at": now.isoformat(),
    }
    return {"@odata.deltaLink": _link(address, "$deltatoken", ended), "value": shown}


def _state(tenant: Tenant, token: str | None, select: str | None, address: str, now: datetime) -> Json:
    if token is None:
        return {
            "directory": tenant.id,
            "since": 0,
            "until": tenant.changes,
            "after": 0,
            "first": True,
            "select": select,
            "at": now.isoformat(),
        }
    if select is not None:
        raise bad_request("$select is part of the token and cannot be given again.")
    try:
        state = odata.unpacked(token)
        started = datetime.fromisoformat(state["at"])
        known = state["directory"] == tenant.id and int(state["since"]) <= tenant.changes
    except (GraphError, KeyError, TypeError, ValueError) as error:
        raise bad_request("Badly formed token.") from error
    if not known:
        raise GraphError(
            400, "syncStateNotFound", "The sync state is not found. Start over with a full sync."
        )
    if now - started > LIFE:
        raise GraphError(
            410,
            "resyncRequired",
            "Resync required. Replace any local items with the server's version.",
            headers={"Location": f"{address}?$deltatoken="},
        )
    return {**state, "until": tenant.changes if state["until"] is None else state["until"]}


def _changes(
    tenant: Tenant, since: int, until: int, *, first: bool, select: tuple[str, ...] | None
) -> Iterable[tuple[int, str, Json]]:
    """(change, id, object) for all that changed in (since, until]; the first round has no removals."""
    for user in tenant.users():
        if since < user.changed <= until:
            shown = views.user(user, select)
            yield user.changed, user.id, {**shown, "id": user.id}
    if first:
        return
    for user in tenant.deleted_users():
        if since < user.changed <= until:
            yield user.changed, user.id, {"id": user.id, "@removed": {"reason": "changed"}}
    for user_id, changed in tenant.purged.items():
        if since < changed <= until:
            yield changed, user_id, {"id": user_id, "@removed": {"reason": "deleted"}}


def _link(address: str, option: str, state: Json) -> str:
    return f"{address}?{option}={odata.packed(state)}"
