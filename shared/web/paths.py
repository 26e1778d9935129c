"""Which service answers which path of which host, from the table of services, and the hosts' names."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal
from urllib.parse import urlsplit

from shared.services import SERVICES, Host, Services
from shared.web.static_pages import static_page

HEALTH = ("/healthz", "/readyz")
STATIC = "/static/"
PHONE_EARLIER = "/key"
"""Where the phone's page was on the sign-in host, with all that lay below it. Links in mails live for days."""
TRY = "/go/microsoft-365"
LEADS: Mapping[str, Host | Literal["start"]] = {
    **{f"/go/{host}": host for host in (Host.FRONT, Host.PHONE, Host.CONSOLE, Host.KIOSK)},
    TRY: "start",
}
LEADING = (Host.FRONT, Host.CONSOLE, Host.KIOSK)
"""Hosts whose pages have such links."""
THIS_MACHINE = ("localhost", "127.0.0.1")
_PORT = re.compile(r"(:[0-9]{1,5})?")
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"({_LABEL}\.)*(?![0-9]+$){_LABEL}")
"""A host name (RFC 1123, section 2.1). Its last label is no number: that would be an address."""
_LONGEST_NAME = 253


def check_origin(origin: str) -> str:
    """The host of an origin, as a browser writes it. Raises ValueError with what is wrong and the way out."""
    parts = urlsplit(origin)
    if (
        parts.scheme not in ("http", "https")
        or origin != f"{parts.scheme}://{parts.netloc}"
        or not parts.hostname
    ):
        raise ValueError(
            f"an origin is scheme://host[:port] and nothing more, such as https://id.example: {origin!r}"
        )
    host, port = parts.hostname, parts.port  # raises ValueError for a port that is no number
    if not _NAME.fullmatch(host) or parts.netloc != (host if port is None else f"{host}:{port}"):
        raise ValueError(
            f"{origin!r}: a host is a name in small ASCII letters (no address, no user, no dot at the end)"
        )
    if port == {"http": 80, "https": 443}[parts.scheme]:
        raise ValueError(
            f"{origin!r}: browsers leave the usual port of a scheme out, so leave it out here too"
        )
    if parts.scheme == "http" and host.rpartition(".")[2] != "localhost":
        raise ValueError(f"{origin!r}: passkeys and our cookies need https everywhere but on localhost")
    return host


def check_signin_host(host: str) -> None:
    """Whether the host can be the WebAuthn rp_id with the phone's host below it. Raises ValueError."""
    if "." not in host:
        raise ValueError(
            f"{host} cannot be the sign-in host: browsers let key.{host} use the keys of no name without a dot in it "
            f"(Web Authentication Level 3, section 5.1.2). Take a name below it, such as id.{host}"
        )
    if len(f"key.{host}") > _LONGEST_NAME:
        raise ValueError(f"the sign-in host has {len(host)} characters, and key. must fit before it")


@dataclass(frozen=True)
class Origins:
    """The public origins, e.g. `https://id.example`, without a path or a slash at the end.

    `phone` has no setting: it is `key.` before the sign-in host, since WebAuthn lets a page use the keys of a host
    above its own (Web Authentication Level 3, section 5.1.2). Raises ValueError when one is no origin that browsers
    would let do this, or when console and kiosk do not have hosts of their own outside the sign-in host: a page there
    could use its keys or, since cookies heed no port, disturb its cookies.
    """

    signin: str
    console: str
    kiosk: str

    def __post_init__(self) -> None:
        signin, console, kiosk = (check_origin(origin) for origin in (self.signin, self.console, self.kiosk))
        check_signin_host(signin)
        for name, host in (("console", console), ("kiosk", kiosk)):
            if host == signin or host.endswith(f".{signin}"):
                raise ValueError(
                    f"the {name} needs a host of its own, not {host}: it is in reach of the keys of {signin}"
                )
            if host in THIS_MACHINE:
                raise ValueError(f"the {name} cannot be {host}: the front page is there")
        if console == kiosk:
            raise ValueError(f"console and kiosk need a host each, not {console} both")

    @property
    def phone(self) -> str:
        """The phone's origin."""
        scheme, _, name = self.signin.partition("://")
        return f"{scheme}://key.{name}"

    @property
    def front(self) -> str:
        """The origin under this machine's own name, with the port of the sign-in host."""
        parts = urlsplit(self.signin)
        return f"{parts.scheme}://localhost{f':{parts.port}' if parts.port else ''}"

    def of(self, host: Host) -> str:
        """The origin of that kind of host."""
        return {
            Host.FRONT: self.front,
            Host.SIGNIN: self.signin,
            Host.PHONE: self.phone,
            Host.CONSOLE: self.console,
            Host.KIOSK: self.kiosk,
        }[host]

    def authority(self, host: Host) -> str:
        """What a browser sends as Host: name, and port where it is not the scheme's own; lower case."""
        return authority(self.of(host))

    def host_of(self, header: str) -> Host | None:
        """Which kind of host that Host header names; None for a name that is not ours.

        This machine's own names count with any port: who asks for health comes by whatever port leads here.
        """
        wanted = header.lower().removesuffix(":80").removesuffix(":443")
        for host in Host:
            if self.authority(host) == wanted:
                return host
        for name in THIS_MACHINE:
            if wanted.startswith(name) and _PORT.fullmatch(wanted.removeprefix(name)):
                return Host.FRONT
        return None


def authority(origin: str) -> str:
    """Host and port of an origin in lower case, without the port when it is 80 or 443."""
    return urlsplit(origin).netloc.lower().removesuffix(":80").removesuffix(":443")


class Own(StrEnum):
    """What the proxy answers by itself, without asking a service."""

    HEALTH = "health check"
    STATIC = "static file"
    PAGE = "static page"
    LEAD = "redirect"
    NOTHING = "nothing"


def destination(host: Host, path: str, table: Services = SERVICES) -> Own | str:
    """The name of the service that answers that path on that kind of host, or what is answered without one."""
    if path in HEALTH:
        return Own.HEALTH
    if path.startswith(STATIC):
        return Own.STATIC
    if lead(host, path) is not None:
        return Own.LEAD
    found = [
        (mount.prefix, row.name)
        for row in table.values()
        for mount in row.mounts
        if mount.host is host and path.startswith(mount.prefix)
    ]
    if found:
        return max(found, key=lambda each: len(each[0]))[1]
    return Own.PAGE if static_page(host, path) is not None else Own.NOTHING


def lead(host: Host, path: str) -> Host | Literal["start"] | None:
    """What the path redirects to: the root of a kind of host, or where sign-ins begin. None: it redirects nowhere.

    That is the phone's earlier place, and the links of our own pages, which have no origin in them so that the pages
    can be files.
    """
    if host is Host.SIGNIN:
        return Host.PHONE if path == PHONE_EARLIER or path.startswith(f"{PHONE_EARLIER}/") else None
    return LEADS.get(path) if host in LEADING else None
