"""`POST /$batch`: several requests in one, each answered by itself (Microsoft's page on JSON batching)."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from deploy.standins.graph.errors import GraphError, malformed
from deploy.standins.graph.exchange import Answer, Fate, Json, Request
from deploy.standins.graph.routes import BASE

MAX_ITEMS = 20
_FIELDS = frozenset({"id", "method", "url", "headers", "body", "dependsOn"})


@dataclass(frozen=True, slots=True)
class Item:
    """One request of a batch."""

    id: str
    request: Request
    depends_on: tuple[str, ...]


def parse(body: object, outer: Mapping[str, str]) -> list[Item]:
    """The requests of a batch in an order that respects `dependsOn`. Raises GraphError 400 for the whole batch.

    `outer`: headers of the batch; each request has its Authorization unless it brings its own.
    """
    given = body.get("requests") if isinstance(body, dict) else None
    if not isinstance(given, list) or not given:
        raise malformed("Invalid batch payload format.")
    if len(given) > MAX_ITEMS:
        raise malformed(f"Number of batch request steps exceeds the maximum value of {MAX_ITEMS}.")
    items: dict[str, Item] = {}
    for each in given:
        item = _item(each, outer)
        if item.id in items:
            raise malformed(f"Request Id {item.id} has to be unique in a batch.")
        items[item.id] = item
    return _ordered(items)


def _item(each: object, outer: Mapping[str, str]) -> Item:
    if not isinstance(each, dict) or not set(each) <= _FIELDS:
        raise malformed("Invalid batch payload format.")
    name, method, url = each.get("id"), each.get("method"), each.get("url")
    headers = each.get("headers") or {}
    if not isinstance(name, str) or not name or not isinstance(method, str) or not isinstance(url, str):
        raise malformed("Invalid batch payload format: every request needs id, method and url.")
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        raise malformed(f"Invalid headers in batch request {name}.")
    if not url.startswith("/") or url.startswith((f"{BASE}/", "//")):
        raise malformed(
            f"Invalid Url of batch request {name}: it must be relative to the version, e.g. /users."
        )
    depends = each.get("dependsOn") or []
    if not isinstance(depends, list) or not all(isinstance(one, str) for one in depends):
        raise malformed(f"Invalid dependsOn in batch request {name}.")
    lower = {key.lower(): value for key, value in headers.items()}
    body = each.get("body")
    if body is not None and "content-type" not in lower:
        raise malformed(f"Write request id : {name} does not contain Content-Type header or body.")
    carried = {"authorization": outer.get("authorization", "")} if "authorization" not in lower else {}
    octets = json.dumps(body).encode() if body is not None else b""
    return Item(name, Request(method.upper(), f"{BASE}{url}", {**carried, **lower}, octets), tuple(depends))


def _ordered(items: Mapping[str, Item]) -> list[Item]:
    """As given, except that what a request depends on comes first. A circle or an unknown id is refused."""
    done: list[Item] = []
    waiting = list(items.values())
    while waiting:
        ready = next((each for each in waiting if set(each.depends_on) <= {one.id for one in done}), None)
        if ready is None:
            raise malformed("Invalid dependsOn: an id is unknown, or requests wait for each other.")
        waiting.remove(ready)
        done.append(ready)
    return done


def answer(items: list[Item], carry_out: Callable[[Request], Answer]) -> Answer:
    """200 with an answer for each, in another order than asked: the ids say which is which.

    A connection that one of them would lose is lost for all; the slowest sets the delay.
    """
    answers: dict[str, Answer] = {}
    for item in items:
        failed = [one for one in item.depends_on if answers[one].status >= 400]
        answers[item.id] = _dependency_failed() if failed else carry_out(item.request)
    shown: list[Json] = [_shown(name, each) for name, each in reversed(answers.items())]
    fate = Fate.DROPPED if any(each.fate is Fate.DROPPED for each in answers.values()) else Fate.SENT
    return Answer(200, {"responses": shown}, fate=fate, delay=max(each.delay for each in answers.values()))


def _dependency_failed() -> Answer:
    error = GraphError(424, "FailedDependency", "A request that this one depends on failed.")
    return Answer(error.status, {"error": {"code": error.code, "message": error.message}})


_OF_THE_CONNECTION = frozenset({"request-id", "client-request-id", "Date"})
"""Headers that the batch has once, and its items have not. Not verified."""


def _shown(name: str, answer: Answer) -> Json:
    headers = {key: value for key, value in answer.headers.items() if key not in _OF_THE_CONNECTION}
    shown: dict[str, Any] = {"id": name, "status": answer.status, "headers": headers}
    if answer.body is not None:
        shown["headers"]["Content-Type"] = "application/json"
        shown["body"] = answer.body
    return shown
