"""The table of services. A new service is one more row here.

From it are made: the one-process router and the Caddyfile, the cluster of processes, RabbitMQ's users, keys and
passwords, whom a service follows, and which names messages may use. A test compares docker-compose.yml with it.
Whoever reads the table takes it as a parameter with `SERVICES` as its default, so that a test can add a row.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Literal


class Host(StrEnum):
    """The kinds of host. Which name each has is a setting (`shared.web.paths.Origins`).

    The sign-in host is the WebAuthn rp_id. The phone's host lies below it, so that it may use the same keys and yet
    is an origin of its own; console and kiosk live outside it, so that a fault in one cannot use these keys.
    """

    FRONT = "front"
    """This machine by its own names: a page that says where to go, and the health checks."""
    SIGNIN = "signin"
    PHONE = "phone"
    CONSOLE = "console"
    KIOSK = "kiosk"


@dataclass(frozen=True, slots=True)
class Mount:
    """Paths that begin with `prefix` on hosts of that kind go to the service.

    A prefix begins and ends with `/`; without the second `/things` would fall to `/t`.
    """

    host: Host
    prefix: str


Answers = Literal["pages", "json"]
"""What the proxy lets through of a service's answers. `pages`: body and headers, except headers that reach beyond the
answer. `json`: status and body alone, under headers that are the proxy's own.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRow:
    """What everybody else must know of one service. Its package is `services/<name>`."""

    name: str
    mounts: tuple[Mount, ...] = ()
    """Where browsers and phones reach it. Files and static pages are none of its business (`shared.web.site`)."""
    api: tuple[str, ...] = ()
    """Paths of its mounts under which only programs ask: they are told of faults in JSON."""
    answers: Answers = "pages"
    cookies: tuple[str, ...] = ()
    """Names of its cookies without `__Host-`; one with `*` at its end stands for all that begin so. The proxy
    shows them to no other service.
    """
    owns_state: bool = False
    """Whether it publishes state events, which others follow."""
    essential: bool = False
    """Whether a follower is not ready before it has this owner's whole state."""
    follows: tuple[str, ...] = ()
    """Owners of state that it keeps copies of. The state of one may refer to what those before it own."""
    replicas: int = 1
    """Processes in docker-compose.yml and in the cluster for demos and tests."""
    opens_sealed: bool = False
    """Whether it has a key pair with which others seal secrets for it (`shared.crypto.sealed_box`)."""
    outside: bool = False
    """Whether it calls systems outside; then its container is on the network that leads there."""

    @property
    def containers(self) -> tuple[str, ...]:
        """Names of its containers in docker-compose.yml, which are host names for the others."""
        if self.replicas == 1:
            return (self.name,)
        return tuple(f"{self.name}-{number}" for number in range(1, self.replicas + 1))


Services = Mapping[str, ServiceRow]
"""Rows by name. Iterating gives the names."""


def table(*rows: ServiceRow) -> Services:
    """The table of these rows, in their order. Raises ValueError when they contradict each other."""
    made = {row.name: row for row in rows}
    if len(made) != len(rows):
        raise ValueError("two services have the same name")
    taken: list[tuple[str, Mount]] = []
    for row in rows:
        for owner in row.follows:
            if owner == row.name or owner not in made or not made[owner].owns_state:
                raise ValueError(f"{row.name} cannot follow {owner}: it is no other service that owns state")
        if row.essential and not row.owns_state:
            raise ValueError(f"{row.name} owns no state that could be essential")
        if row.replicas < 1:
            raise ValueError(f"{row.name} has no process")
        for mount in row.mounts:
            if not (mount.prefix.startswith("/") and mount.prefix.endswith("/")):
                raise ValueError(f"{row.name}: {mount.prefix!r} does not begin and end with a slash")
            for name, other in taken:
                if mount.host is other.host and _nested(mount.prefix, other.prefix):
                    raise ValueError(f"{name} and {row.name} share {mount.prefix} of the {mount.host} host")
            taken.append((row.name, mount))
    return MappingProxyType(made)


def _nested(one: str, other: str) -> bool:
    """Whether some paths begin with both. A whole host may be `/`: what others have on it is asked first."""
    return one == other or ("/" not in (one, other) and (one.startswith(other) or other.startswith(one)))


BROWSER_COOKIE_NAME = "blok365-browser"
"""wsfed: the browser's own secret."""
ACCOUNT_COOKIE_PREFIX = "blok365-a-"
"""wsfed: how the names of its cookies begin, one for each account that has signed in from the browser."""
CONSOLE_COOKIE_NAME = "console"
"""admin: the session of an administrator."""
CONSOLE_SAID_COOKIE_NAME = "console-said"
"""admin: which sentence the next page of the console shows, about what was done on the page before."""
LAST_REQUEST_COOKIE_NAME = "blok365-last"
"""wsfed: which of the browser's tabs asked a phone last."""
OUTCOME_TOLD_COOKIE_NAME = "blok365-told"
"""wsfed: which outcome the person's own page has told already."""

SERVICES = table(
    ServiceRow(
        name="admin",
        mounts=(Mount(Host.CONSOLE, "/"),),
        cookies=(CONSOLE_COOKIE_NAME, CONSOLE_SAID_COOKIE_NAME),
        owns_state=True,
        essential=True,
        follows=("approval", "wsfed", "provisioning"),
        replicas=2,
    ),
    ServiceRow(
        name="approval",
        mounts=(Mount(Host.PHONE, "/api/"),),
        api=("/api",),
        answers="json",
        owns_state=True,
        follows=("admin",),
        replicas=2,
    ),
    ServiceRow(
        name="wsfed",
        mounts=(Mount(Host.SIGNIN, "/t/"), Mount(Host.SIGNIN, "/signin/")),
        cookies=(
            BROWSER_COOKIE_NAME,
            f"{ACCOUNT_COOKIE_PREFIX}*",
            LAST_REQUEST_COOKIE_NAME,
            OUTCOME_TOLD_COOKIE_NAME,
        ),
        owns_state=True,
        follows=("admin", "approval"),
        replicas=2,
    ),
    ServiceRow(
        name="provisioning",
        owns_state=True,
        follows=("admin",),
        opens_sealed=True,
        outside=True,
    ),
    ServiceRow(
        name="notify",
        follows=("admin", "approval"),
        opens_sealed=True,
        outside=True,
    ),
)
"""In the order in which one process starts them: owners of state before those who ask them for it."""
