"""Which service answers which path of which host, from the table of services, and the hosts' names."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from shared.services import SERVICES, Host, Services

FRONT = "front"
"""Who answers what belongs to no service: health checks, and the page that says there is nothing here."""

HEALTH = ("/healthz", "/readyz")
STATIC = "/static/"


@dataclass(frozen=True)
class Origins:
    """The public origins, e.g. `https://id.example`, without a path or a slash at the end.

    `phone` has no setting: it is `key.` before the sign-in host, since WebAuthn lets a page use the keys of a host
    above its own (Web Authentication Level 3, section 5.1.2). Raises ValueError when one is not an http or https
    origin, is plain http on anything but localhost, or when console or kiosk share the sign-in host.
    """

    signin: str
    console: str
    kiosk: str

    def __post_init__(self) -> None:
        for origin in (self.signin, self.console, self.kiosk):
            parts = urlsplit(origin)
            name = parts.hostname or ""
            if f"{parts.scheme}://{parts.netloc}" != origin or parts.scheme not in ("http", "https"):
                raise ValueError(f"not an origin such as https://id.example: {origin!r}")
            if parts.scheme == "http" and name != "localhost" and not name.endswith(".localhost"):
                raise ValueError(f"{origin!r}: passkeys and our cookies need https except on localhost")
        if self.authority(Host.SIGNIN) in (self.authority(Host.CONSOLE), self.authority(Host.KIOSK)):
            raise ValueError("console and kiosk need hosts of their own, apart from the sign-in host")

    @property
    def phone(self) -> str:
        """The phone's origin."""
        scheme, _, name = self.signin.partition("://")
        return f"{scheme}://key.{name}"

    def of(self, host: Host) -> str:
        """The origin of that kind of host."""
        return {
            Host.SIGNIN: self.signin,
            Host.PHONE: self.phone,
            Host.CONSOLE: self.console,
            Host.KIOSK: self.kiosk,
        }[host]

    def authority(self, host: Host) -> str:
        """What a browser sends as Host: name, and port where it is not the scheme's own; lower case."""
        return authority(self.of(host))

    def host_of(self, header: str) -> Host | None:
        """Which kind of host that Host header names; None for a name that is not ours."""
        wanted = header.lower().removesuffix(":80").removesuffix(":443")
        for host in Host:
            if self.authority(host) == wanted:
                return host
        return None


def authority(origin: str) -> str:
    """Host and port of an origin in lower case, without the port when it is 80 or 443."""
    return urlsplit(origin).netloc.lower().removesuffix(":80").removesuffix(":443")


def service_for(host: Host, path: str, table: Services = SERVICES) -> str:
    """The service that answers that path on that kind of host; `FRONT` when there is none."""
    if path in HEALTH:
        return FRONT
    if path.startswith(STATIC):
        service = path.removeprefix(STATIC).partition("/")[0]
        return service if service in table and table[service].mounts else FRONT
    found = [
        (mount.prefix, row.name)
        for row in table.values()
        for mount in row.mounts
        if mount.host is host and path.startswith(mount.prefix)
    ]
    return max(found, key=lambda each: len(each[0]))[1] if found else FRONT
