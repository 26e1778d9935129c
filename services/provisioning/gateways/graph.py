"""Microsoft Graph over HTTP: requests of several people that come together travel in one `$batch`.

Nothing is tried again here: when and whether a request is made again is the job's affair (`domain/answers.py`), and
there alone. Not verified: what Graph says; only its form and size are.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from uuid import UUID

import aiohttp
from yarl import URL

from services.provisioning.domain.requests import GraphAnswer, GraphRequest
from services.provisioning.gateways.tokens import Sessions, Tokens, json_of
from services.provisioning.ports import Target
from shared.clock import Clock
from shared.ids import Ids

CONNECT_WITHIN = 10.0
"""Seconds until a connection stands, or fewer where less is left for the whole request."""
BATCH = 20
"""Requests in one `$batch`, at most (Microsoft Graph, "Combine multiple requests")."""
LINGER = 0.005
"""Seconds that the first request waits for others."""
MAX_ANSWER = 4 * 1024 * 1024
LONGEST_RETRY_AFTER = timedelta(hours=1)


@dataclass
class _Pending:
    """Requests to one connection that go out together."""

    target: Target
    calls: list[tuple[GraphRequest, asyncio.Future[GraphAnswer]]] = field(default_factory=list)


class Graph:
    """Implements `ports.Directory`."""

    def __init__(self, clock: Clock, ids: Ids, answer_seconds: float = 40.0) -> None:
        """`answer_seconds`: until a request, one for a token among them, counts as not answered."""
        self._clock = clock
        self._ids = ids
        connect = min(CONNECT_WITHIN, answer_seconds)
        self._sessions = Sessions(aiohttp.ClientTimeout(total=answer_seconds, connect=connect))
        self._tokens = Tokens(self._sessions, clock, ids)
        self._pending: dict[tuple[str, int], _Pending] = {}
        self._sending: set[asyncio.Task[None]] = set()
        self.sent: defaultdict[str, int] = defaultdict(int)
        """Requests over the wire by what they are, for measurements."""

    async def call(self, target: Target, request: GraphRequest) -> GraphAnswer:
        key = (target.tenant, target.revision)
        pending = self._pending.get(key)
        if pending is None:
            pending = self._pending[key] = _Pending(target)
            self._spawn(self._send_soon(key, pending))
        answer: asyncio.Future[GraphAnswer] = asyncio.get_running_loop().create_future()
        pending.calls.append((request, answer))
        if len(pending.calls) == BATCH:
            del self._pending[key]
            self._spawn(self._send(pending))
        return await answer

    async def close(self) -> None:
        """Give up what is under way, and close all connections."""
        for task in list(self._sending):
            task.cancel()
        if self._sending:
            await asyncio.wait(list(self._sending))
        await self._sessions.close()

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send_soon(self, key: tuple[str, int], pending: _Pending) -> None:
        await asyncio.sleep(LINGER)
        if self._pending.get(key) is pending:  # otherwise it was full, and is sent
            del self._pending[key]
            await self._send(pending)

    async def _send(self, pending: _Pending) -> None:
        calls = [(request, answer) for request, answer in pending.calls if not answer.done()]
        try:
            answers = await self._exchange(pending.target, [request for request, _ in calls])
        except Exception as error:  # SignInFailed among them: each caller is told
            for _, answer in calls:
                if not answer.done():
                    answer.set_exception(error)
            return
        for (_, waiting), said in zip(calls, answers, strict=True):
            if not waiting.done():
                waiting.set_result(said)

    async def _exchange(self, target: Target, requests: Sequence[GraphRequest]) -> Sequence[GraphAnswer]:
        if not requests:
            return []
        token = await self._tokens.of(target)
        if len(requests) == 1:
            answers = [await self._post(target, token, requests[0])]
        else:
            answers = await self._batch(target, token, requests)
        if any(answer.status == 401 for answer in answers):
            self._tokens.forget(target, token)
        return answers

    async def _batch(self, target: Target, token: str, requests: Sequence[GraphRequest]) -> list[GraphAnswer]:
        body = {"requests": [self._item(str(number), request) for number, request in enumerate(requests)]}
        outer = await self._post(target, token, GraphRequest("POST", "/$batch", body))
        if not outer.ok:
            return [outer] * len(requests)
        found = outer.body.get("responses")
        by_id = {
            str(each.get("id")): each
            for each in (found if isinstance(found, list) else ())
            if isinstance(each, Mapping)
        }
        return [self._inner(by_id.get(str(number)), outer) for number in range(len(requests))]

    def _item(self, number: str, request: GraphRequest) -> dict[str, Any]:
        headers = {"client-request-id": self._guid()}
        item: dict[str, Any] = {
            "id": number,
            "method": request.method,
            "url": request.url,
            "headers": headers,
        }
        if request.body is not None:
            headers["Content-Type"] = "application/json"
            item["body"] = request.body
        return item

    def _inner(self, item: Mapping[str, Any] | None, outer: GraphAnswer) -> GraphAnswer:
        if item is None or not isinstance(item.get("status"), int):
            return GraphAnswer(None, request_id=outer.request_id)
        given, body = item.get("headers"), item.get("body")
        headers = {str(k).lower(): str(v) for k, v in given.items()} if isinstance(given, Mapping) else {}
        answer = self._answer(item["status"], headers, body if isinstance(body, Mapping) else {})
        return answer if answer.request_id else _with_id(answer, outer.request_id)

    async def _post(self, target: Target, token: str, request: GraphRequest) -> GraphAnswer:
        """One request over the wire."""
        self.sent["batch" if request.url == "/$batch" else "single"] += 1
        client_id = self._guid()
        headers = {"Authorization": f"Bearer {token}", "client-request-id": client_id}
        url = URL(f"{target.graph}/v1.0{request.url}", encoded=True)
        try:
            async with self._sessions.open().request(
                request.method, url, json=request.body, headers=headers, allow_redirects=False
            ) as response:
                body = await json_of(response, MAX_ANSWER)
                given = {name.lower(): value for name, value in response.headers.items()}
                return self._answer(response.status, given, body)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return GraphAnswer(None, request_id=client_id)

    def _answer(self, status: int, headers: Mapping[str, str], body: Mapping[str, Any]) -> GraphAnswer:
        return GraphAnswer(
            status=status,
            body=body,
            request_id=headers.get("request-id", "")[:64],
            retry_after=retry_after(headers.get("retry-after"), self._clock.now()),
            load=_fraction(headers.get("x-ms-throttle-limit-percentage")),
        )

    def _guid(self) -> str:
        return str(UUID(bytes=self._ids.random_bytes(16), version=4))


def _with_id(answer: GraphAnswer, request_id: str) -> GraphAnswer:
    return GraphAnswer(answer.status, answer.body, request_id, answer.retry_after, answer.load)


def retry_after(text: str | None, now: datetime) -> timedelta | None:
    """The wait that a `Retry-After` asks for (RFC 9110 section 10.2.3), at most an hour; None for none or nonsense."""
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        return min(timedelta(seconds=int(text[:9])), LONGEST_RETRY_AFTER)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, IndexError):
        return None
    if at.tzinfo is None:
        return None
    return min(max(at - now, timedelta()), LONGEST_RETRY_AFTER)


def _fraction(text: str | None) -> float:
    try:
        read = float(text or 0)
    except ValueError:
        return 0.0
    return read if 0 <= read < 100 else 0.0
