"""$batch, throttling, misbehaviour, and the record of requests."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from deploy.standins.graph import control
from deploy.standins.graph.exchange import Fate, Request
from deploy.standins.graph.requests import Record
from tests.standins.graph.directory import ORIGIN, SECRET, Directory, person

MINE = "55555555-5555-4555-8555-555555555555"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def directory() -> Directory:
    return Directory()


def item(number: int | str, method: str, url: str, body: object = None, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"id": str(number), "method": method, "url": url, **more}
    return made if body is None else {**made, "headers": JSON, "body": body}


def batch(directory: Directory, *items: dict[str, Any]) -> dict[str, dict[str, Any]]:
    answers = directory.good(200, "POST", "/$batch", {"requests": list(items)})["responses"]
    return {each["id"]: each for each in answers}


# --- $batch


def test_each_request_of_a_batch_is_answered_by_itself(directory: Directory) -> None:
    answers = batch(
        directory,
        item(1, "POST", "/users", person("ada")),
        item(2, "POST", "/users", person("ada")),
        item(3, "GET", "/users?$select=displayName"),
        item(4, "DELETE", "/users/nobody@contoso.example"),
    )
    assert {name: each["status"] for name, each in answers.items()} == {
        "1": 201,
        "2": 400,
        "3": 200,
        "4": 404,
    }
    assert answers["3"]["body"]["value"] == [{"displayName": "Ada"}]
    assert "body" in answers["4"]
    assert list(answers) != ["1", "2", "3", "4"]  # in another order than asked


def test_204_has_no_body(directory: Directory) -> None:
    directory.create()
    assert (
        "body" not in batch(directory, item(1, "PATCH", "/users/ada@contoso.example", {"jobTitle": "x"}))["1"]
    )


@pytest.mark.parametrize(
    "requests",
    [
        [],
        [item(number, "GET", "/users") for number in range(21)],
        [item(1, "GET", "/users"), item(1, "GET", "/domains")],
        [{"id": "1", "method": "POST", "url": "/users", "body": {}}],
        [item(1, "GET", "/v1.0/users")],
        [item(1, "GET", f"{ORIGIN}/v1.0/users")],
        [item(1, "GET", "/users", dependsOn=["2"])],
        [item(1, "GET", "/users", dependsOn=["2"]), item(2, "GET", "/users", dependsOn=["1"])],
        [{"id": 1, "method": "GET", "url": "/users"}],
        [item(1, "GET", "/users", surprise=1)],
        ["GET"],
    ],
)
def test_a_wrong_batch_is_refused_as_a_whole(directory: Directory, requests: list[Any]) -> None:
    directory.refused(400, "BadRequest", "POST", "/$batch", {"requests": requests})


def test_a_batch_in_a_batch_and_other_methods(directory: Directory) -> None:
    assert batch(directory, item(1, "POST", "/$batch", {"requests": []}))["1"]["status"] == 400
    directory.refused(405, "Request_BadRequest", "GET", "/$batch")


def test_what_depends_on_a_failure_is_not_done(directory: Directory) -> None:
    answers = batch(
        directory,
        item("second", "POST", "/users", person("bob"), dependsOn=["first"]),
        item("first", "POST", "/users", person("ada", displayName="")),
        item("third", "POST", "/users", person("eve")),
    )
    assert {name: each["status"] for name, each in answers.items()} == {
        "first": 400,
        "second": 424,
        "third": 201,
    }
    assert directory.tenant.size == 1


def test_the_token_may_end_in_the_middle_of_a_batch(directory: Directory) -> None:
    directory.go_wrong("expired_token", path="/users", skip=1, times=1)
    answers = batch(directory, *(item(n, "POST", "/users", person(f"p{n}")) for n in range(3)))
    assert [answers[str(n)]["status"] for n in range(3)] == [201, 401, 201]
    assert answers["1"]["body"]["error"]["code"] == "InvalidAuthenticationToken"


def test_a_batch_without_token_or_permission(directory: Directory) -> None:
    answer = directory.standin.answer(
        Request("POST", "/v1.0/$batch", {"content-type": "application/json"}, b"{}")
    )
    assert answer.status == 401
    poor = Directory(permissions=["User.Read.All"])
    assert batch(poor, item(1, "POST", "/users", person()))["1"]["status"] == 403


# --- throttling


def test_3000_writes_in_150_seconds_and_no_more(directory: Directory) -> None:
    directory.set_up({"limits": {"writes": 10}})
    user_id = directory.create()
    path, change = f"/users/{user_id}", {"jobTitle": "x"}
    answers = [directory.send("PATCH", path, change) for _ in range(10)]
    assert [each.status for each in answers] == [204] * 9 + [429]
    shares = [each.headers.get("x-ms-throttle-limit-percentage") for each in answers[:9]]
    assert shares == [None] * 7 + ["0.90", "1.00"]
    assert answers[-1].headers["Retry-After"] == "150"
    assert answers[-1].headers["x-ms-throttle-information"] == "WriteLimitExceeded"
    assert directory.good(200, "GET", path)
    directory.clock.advance(149)
    assert directory.send("PATCH", path, change).headers["Retry-After"] == "1"
    directory.clock.advance(1)
    assert directory.send("PATCH", path, change).status == 204


def test_the_items_of_a_batch_are_throttled_one_by_one(directory: Directory) -> None:
    directory.set_up({"limits": {"writes": 2}})
    answers = batch(directory, *(item(n, "POST", "/users", person(f"p{n}")) for n in range(4)))
    assert [answers[str(n)]["status"] for n in range(4)] == [201, 201, 429, 429]
    assert answers["3"]["headers"]["Retry-After"] == "150"


def test_reads_have_a_limit_of_their_own(directory: Directory) -> None:
    directory.set_up({"limits": {"units": 4}})
    assert [directory.send("GET", "/users").status for _ in range(3)] == [200, 200, 429]
    directory.clock.advance(10)
    assert directory.send("GET", "/users").status == 200


# --- misbehaviour


def test_429_and_503_do_nothing_and_say_when_to_come_again(directory: Directory) -> None:
    directory.go_wrong("too_many", method="POST", path="/users", times=1, retryAfter=7)
    directory.go_wrong("unavailable", method="POST", path="/users", skip=1, times=1)
    first, second = directory.send("POST", "/users", person()), directory.send("POST", "/users", person())
    assert (first.status, first.headers["Retry-After"]) == (429, "7")
    assert (second.status, second.headers.get("Retry-After")) == (503, None)
    assert directory.tenant.size == 0
    directory.create()


def test_who_comes_before_the_retry_after_is_over_is_counted(directory: Directory) -> None:
    directory.go_wrong("too_many", times=2, retryAfter=7)
    profile = {"password": "Another-Horse-8", "forceChangePasswordNextSignIn": False}
    directory.send("POST", "/users", person())
    directory.send("POST", "/users", person("bob"))
    directory.clock.advance(6)
    directory.send("POST", "/users", person(passwordProfile=profile))
    assert directory.standin.early == 1
    directory.clock.advance(1)
    directory.send("POST", "/users", person("bob"))
    assert directory.standin.early == 1


def test_a_dropped_connection_before_and_after_the_write(directory: Directory) -> None:
    directory.go_wrong("drop_before_write", times=1, path="/users")
    assert directory.send("POST", "/users", person()).fate is Fate.DROPPED
    assert directory.tenant.size == 0
    directory.go_wrong("drop_after_write", times=1, path="/users")
    assert directory.send("POST", "/users", person()).fate is Fate.DROPPED
    assert directory.tenant.size == 1
    assert directory.refused(400, "Request_BadRequest", "POST", "/users", person()).startswith(
        "Another object"
    )


def test_a_batch_is_lost_as_a_whole_with_what_it_did(directory: Directory) -> None:
    directory.go_wrong("drop_after_write", path="/users", skip=1, times=1)
    body = {"requests": [item(n, "POST", "/users", person(f"p{n}")) for n in range(3)]}
    assert directory.send("POST", "/$batch", body).fate is Fate.DROPPED
    assert directory.tenant.size == 3


def test_500_after_the_write(directory: Directory) -> None:
    directory.go_wrong("error_after_write", times=1, path="/users")
    directory.refused(500, "InternalServerError", "POST", "/users", person())
    assert directory.tenant.size == 1


def test_404_for_90_seconds_after_201(directory: Directory) -> None:
    directory.go_wrong("not_found_after_create", method="POST", path="/users")  # 90 s unless said
    user_id = directory.create()
    by_filter = "/users?$filter=onPremisesImmutableId%20eq%20'id-ada'"
    for _ in range(2):
        directory.refused(404, "Request_ResourceNotFound", "GET", f"/users/{user_id}")
        directory.refused(404, "Request_ResourceNotFound", "PATCH", f"/users/{user_id}", {"jobTitle": "x"})
        assert directory.good(200, "GET", by_filter)["value"] == []
        assert directory.send("POST", "/users", person()).status == 400  # uniqueness is not stale
        directory.clock.advance(45)
    assert directory.good(200, "GET", f"/users/{user_id}")
    assert len(directory.good(200, "GET", by_filter)["value"]) == 1


def test_some_replicas_know_a_new_user_and_some_do_not(directory: Directory) -> None:
    directory.go_wrong("not_found_after_create", path="/users", seconds=90, share=0.5)
    user_id = directory.create()
    seen = Counter(directory.send("GET", f"/users/{user_id}").status for _ in range(100))
    assert 30 < seen[404] < 70
    assert seen[200] + seen[404] == 100


def test_slow_and_other_errors(directory: Directory) -> None:
    directory.go_wrong("slow", path="/users", seconds=2.5, times=1)
    assert directory.send("POST", "/users", person()).delay == 2.5
    directory.go_wrong("gateway_timeout", path="/users", times=1)
    assert directory.send("GET", "/users").status == 504
    directory.go_wrong("invalid_once", path="/users", times=1)
    message = directory.refused(400, "Request_BadRequest", "GET", "/users")
    assert message == "One or more property values specified are invalid."


def test_the_token_endpoint_goes_wrong_in_its_own_words(directory: Directory) -> None:
    directory.go_wrong("too_many", path="/token", times=1, retryAfter=3)
    answer = directory.ask_token()
    assert (answer.status, answer.headers["Retry-After"]) == (429, "3")
    assert answer.body is not None
    assert answer.body["error_codes"] == [90055]
    directory.go_wrong("unavailable", path="/token", times=1)
    assert directory.ask_token().status == 503
    directory.go_wrong("drop_before_write", path="/token", times=1)
    assert directory.ask_token().fate is Fate.DROPPED
    assert directory.ask_token().status == 200


def test_chance_follows_the_seed(directory: Directory) -> None:
    def statuses(one: Directory) -> list[int]:
        one.go_wrong("too_many", path="/domains", probability=0.3)
        return [one.send("GET", "/domains").status for _ in range(50)]

    first = statuses(directory)
    assert first == statuses(Directory())
    assert 5 < first.count(429) < 25


def test_a_rule_says_how_often_it_hit(directory: Directory) -> None:
    directory.go_wrong("unavailable", path="/users*", method="GET", skip=1, times=1)
    for _ in range(3):
        directory.send("GET", "/users")
    (rule,) = control.state(directory.standin)["faults"]
    assert (rule["matched"], rule["hit"]) == (3, 1)
    directory.standin.faults.clear()
    assert control.state(directory.standin)["faults"] == []


# --- the record


def test_every_request_is_recorded_without_secrets(directory: Directory) -> None:
    directory.send("POST", "/users", person(), {"client-request-id": MINE})
    directory.send("POST", "/$batch", {"requests": [
        {**item(1, "POST", "/users", person("bob")), "headers": {**JSON, "Authorization": f"Bearer {directory.token}"}}
    ]})  # fmt: skip
    directory.go_wrong("drop_after_write", times=1)
    directory.send("GET", "/users?$top=1")
    entries = list(directory.standin.record.entries())
    assert [tuple(each) for each in entries] == [("at", "method", "url", "headers", "body", "status")] * 4
    token, created, batched, dropped = entries
    assert token["body"]["client_secret"] == "hidden"
    assert token["body"]["grant_type"] == "client_credentials"
    assert created["at"] == "2026-11-27T06:00:00.000Z"
    assert created["url"] == f"{ORIGIN}/v1.0/users"
    assert created["headers"] == {
        "authorization": "hidden", "content-type": "application/json", "client-request-id": MINE
    }  # fmt: skip
    assert created["body"]["passwordProfile"] == {
        "password": "hidden",
        "forceChangePasswordNextSignIn": False,
    }
    assert created["status"] == 201
    inner = batched["body"]["requests"][0]
    assert inner["body"]["passwordProfile"]["password"] == inner["headers"]["Authorization"] == "hidden"
    assert (dropped["url"], dropped["body"], dropped["status"]) == (f"{ORIGIN}/v1.0/users?$top=1", None, 0)
    text = json.dumps(entries)
    for secret in (SECRET, directory.token, "Correct-Horse-7"):
        assert secret not in text


def test_a_body_that_is_no_json_is_null_in_the_record(directory: Directory) -> None:
    headers = {"content-type": "application/json", "authorization": f"Bearer {directory.token}"}
    for body in (b"{", b"\xff", b"[" * 100_000, b'{"a":1,"a":2}', b'{"a":NaN}'):
        answer = directory.standin.answer(Request("POST", "/v1.0/users", headers, body))
        assert answer.status == 400
    assert [each["body"] for each in directory.standin.record.entries()][1:] == [None] * 5


def test_the_record_can_be_a_file(tmp_path: Path) -> None:
    record = Record(tmp_path / "graph" / "requests.jsonl")
    record.add({"at": "é", "status": 200})
    record.add({"at": "2", "status": 0})
    record.close()
    lines = (tmp_path / "graph" / "requests.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == list(record.entries())
    assert record.count == 2


def test_text_that_no_utf_8_can_carry_is_refused_and_recorded(directory: Directory, tmp_path: Path) -> None:
    directory.standin.record = Record(tmp_path / "requests.jsonl")
    for body in ({"displayName": "\ud800"}, {"\ud800": 1}):
        answer = directory.send("POST", "/users", body, {"client-request-id": "\udcff"})
        assert answer.status == 400
        assert answer.headers["client-request-id"] == answer.headers["request-id"]
    assert len(list(directory.standin.record.entries())) == 2
    directory.standin.record.close()


# --- other paths


@pytest.mark.parametrize(
    ("path", "segment"),
    [("/groups", "groups"), ("/users/x/photo", "photo"), ("/me", "me"), ("/users/x/y/z", "y"), ("/", "")],
)
def test_a_path_that_is_not_known(directory: Directory, path: str, segment: str) -> None:
    message = directory.refused(400, "BadRequest", "GET", path)
    assert message == f"Resource not found for the segment '{segment}'."


def test_a_method_that_a_path_does_not_have(directory: Directory) -> None:
    directory.refused(405, "Request_BadRequest", "PUT", "/users")
    directory.refused(405, "Request_BadRequest", "DELETE", "/users")


def test_a_write_needs_a_body_of_json(directory: Directory) -> None:
    directory.refused(400, "BadRequest", "POST", "/users")
    plain = {"content-type": "text/plain"}
    directory.refused(400, "BadRequest", "POST", "/users", person(), **plain)
    directory.refused(400, "BadRequest", "POST", "/users", [])


def test_a_refusal_carries_the_ids_that_support_asks_for(directory: Directory) -> None:
    answer = directory.send("GET", "/users/nobody@contoso.example", headers={"client-request-id": MINE})
    assert answer.body is not None
    inner = answer.body["error"]["innerError"]
    assert inner["client-request-id"] == answer.headers["client-request-id"] == MINE
    assert inner["date"] == "2026-11-27T06:00:00"
    assert len(inner["request-id"]) == 36
