"""Limits of requests for each application and tenant, and what the answers say about them.

Source: Microsoft's page on service-specific limits, identity and access: 3,000 writes in 150 s for an application and
tenant; resource units in 10 s. A window slides here; Microsoft does not say how theirs is counted. Not verified: the
cost in units of every request.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

WRITES = 3000
WRITE_WINDOW = timedelta(seconds=150)
UNITS = 8000
"""A tenant of more than 500 users."""
UNIT_WINDOW = timedelta(seconds=10)
WARN_ABOVE = 0.8
"""From this part of a limit on, answers say how much of it is used."""

COSTS = {
    ("GET", "/users"): 2,
    ("POST", "/users"): 2,
    ("GET", "/users/delta"): 2,
    ("POST", "/users/{id}/assignLicense"): 2,
    ("GET", "/directory/deletedItems/microsoft.graph.user"): 2,
}
"""Resource units; 1 for every other request."""


@dataclass(slots=True)
class Window:
    """What happened within a span of time: moments and their costs."""

    span: timedelta
    limit: int
    _events: deque[tuple[datetime, int]] = field(default_factory=deque)
    _used: int = 0

    def used(self, now: datetime) -> int:
        while self._events and self._events[0][0] <= now - self.span:
            self._used -= self._events.popleft()[1]
        return self._used

    def add(self, now: datetime, cost: int) -> None:
        self._events.append((now, cost))
        self._used += cost

    def free_in(self, now: datetime) -> int:
        """Whole seconds until the oldest event leaves, at least 1."""
        if not self._events:
            return 1
        left = (self._events[0][0] + self.span - now).total_seconds()
        return max(1, int(left) + (left > int(left)))


@dataclass(frozen=True, slots=True)
class Verdict:
    """May the request go on? `retry_after` in seconds where not; `headers` go on the answer either way."""

    retry_after: int | None
    headers: Mapping[str, str]


class Throttle:
    """The windows of every application in every tenant."""

    def __init__(self, writes: int = WRITES, units: int = UNITS) -> None:
        self.writes = writes
        self.units = units
        self._windows: dict[tuple[str, str, str], Window] = {}

    def take(self, tenant_id: str, client_id: str, method: str, template: str, now: datetime) -> Verdict:
        """Count the request, unless a limit is reached: then it costs nothing and is refused."""
        cost = COSTS.get((method, template), 1)
        write = method not in ("GET", "HEAD")
        units = self._window("units", tenant_id, client_id, UNIT_WINDOW, self.units)
        writes = self._window("writes", tenant_id, client_id, WRITE_WINDOW, self.writes)
        asked = [
            (units, cost, "ResourceUnitLimitExceeded"),
            *([(writes, 1, "WriteLimitExceeded")] if write else []),
        ]
        scope = f"Tenant_Application/{'Write' if write else 'Read'}/{client_id}/{tenant_id}"
        for window, price, reason in asked:
            if window.used(now) + price > window.limit:
                headers = {"x-ms-throttle-scope": scope, "x-ms-throttle-information": reason}
                return Verdict(window.free_in(now), headers)
        for window, price, _ in asked:
            window.add(now, price)
        headers = {"x-ms-resource-unit": str(cost)}
        share = max(window.used(now) / window.limit for window, _, _ in asked)
        if share > WARN_ABOVE:
            headers |= {"x-ms-throttle-limit-percentage": f"{share:.2f}", "x-ms-throttle-scope": scope}
        return Verdict(None, headers)

    def _window(self, kind: str, tenant_id: str, client_id: str, span: timedelta, limit: int) -> Window:
        window = self._windows.setdefault((kind, tenant_id, client_id), Window(span, limit))
        window.limit = limit
        return window
