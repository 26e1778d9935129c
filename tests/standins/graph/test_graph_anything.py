"""Whatever is sent, there is an answer of Graph's: nothing raises, nothing is 500 that was not asked for."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.standins.graph import schema
from deploy.standins.graph.exchange import Request
from deploy.standins.graph.graph import METHODS
from tests.standins.graph.directory import BUSINESS, Directory, person

JSON = {"content-type": "application/json"}
names = st.sampled_from([*schema.properties("user"), *schema.properties("internalDomainFederation"), "addLicenses",
                         "removeLicenses", "requests", "@odata.type", "x"])  # fmt: skip
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["FR", "ada@contoso.example", "x@contoso.example", BUSINESS]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names | st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
bodies = st.dictionaries(names, values, max_size=5) | st.builds(
    lambda changed: {**person("eve"), **changed}, st.dictionaries(names, values, max_size=2)
)
paths = st.sampled_from(
    sorted({template.replace("{id}", key) for _, template in METHODS
            for key in ("ada@contoso.example", "plain.example", "('x')", "%24", "''")} | {"/$batch"})
) | st.text(alphabet="/users('$%@.2450x)", max_size=20).map(lambda text: f"/{text}")  # fmt: skip
queries = st.text(alphabet="$filterselectop=&%'() eqanod0123", max_size=30) | st.builds(
    "$filter={} {} {}".format, names, st.sampled_from(["eq", "ne", "in", "ge"]), st.text(max_size=8)
)


@settings(max_examples=60, deadline=None)
@given(method=st.sampled_from(["GET", "POST", "PATCH", "DELETE", "PUT"]), path=paths, query=queries, body=bodies,
       token=st.booleans())  # fmt: skip
def test_every_request_is_answered(
    method: str, path: str, query: str, body: dict[str, Any], token: bool
) -> None:
    directory = Directory(
        permissions=["User.ReadWrite.All", "Directory.ReadWrite.All", "Domain.ReadWrite.All"]
    )
    directory.create()
    headers = {
        **JSON,
        "authorization": f"Bearer {directory.token if token else 'x.y.z'}",
        "consistencylevel": "eventual",
    }
    target = f"/v1.0{path}?{query}"
    answer = directory.standin.answer(Request(method, target, headers, json.dumps(body).encode()))
    assert answer.status in (200, 201, 204, 400, 401, 403, 404, 405, 409, 501), answer
    assert token or answer.status == 401
    json.dumps(answer.body)
    directory.good(200, "GET", "/users")


@settings(max_examples=30, deadline=None)
@given(
    body=st.binary(max_size=60),
    kind=st.sampled_from(["application/x-www-form-urlencoded", "application/json", ""]),
)
def test_every_request_for_a_token_is_answered(body: bytes, kind: str) -> None:
    directory = Directory()
    path = "/contoso.example/oauth2/v2.0/token"
    assert directory.standin.answer(Request("POST", path, {"content-type": kind}, body)).status in (400, 401)
