"""The text of the Caddyfile (Caddy 2.6 or newer), made from the table of services."""

from collections.abc import Mapping
from typing import NamedTuple

from shared.services import Host, ServiceRow, Services
from shared.web.cookies import HostCookie
from shared.web.paths import STATIC

PORT = 8000
"""Where each service listens in its container (deploy/Dockerfile)."""


class Site(NamedTuple):
    """Where a host's origin comes from, and what it is without that."""

    variable: str
    default: str


SITES: Mapping[Host, Site] = {
    Host.SIGNIN: Site("BLOK365_ORIGIN", "https://id.localhost:8443"),
    Host.PHONE: Site("BLOK365_PHONE_ORIGIN", "https://key.id.localhost:8443"),
    Host.CONSOLE: Site("BLOK365_CONSOLE_ORIGIN", "https://console.localhost:8443"),
    Host.KIOSK: Site("BLOK365_KIOSK_ORIGIN", "https://kiosk.localhost:8443"),
}

HEAD = """\
# Made by `python -m deploy.caddy` from shared/services.py. Change that, then run it again.
# Names on localhost get certificates of Caddy's own authority, public names get them by ACME.
{
	admin off
	skip_install_trust
	servers {
		protocols h1 h2
		max_header_size 16KB
		timeouts {
			read_header 10s
			read_body 30s
			idle 2m
		}
	}
}

(around) {
	header -Server
	request_body {
		max_size 1MB
	}
	handle_errors {
		header {
			-Server
			Cache-Control no-store
			Content-Security-Policy "default-src 'none'; frame-ancestors 'none'"
			Content-Type "text/html; charset=utf-8"
			X-Content-Type-Options nosniff
		}
		@nobody expression {http.error.status_code} in [502, 503, 504]
		handle @nobody {
			header Retry-After 5
			respond `<!doctype html><html lang=en><title>One moment</title><h1>One moment</h1>
			<p>This part is starting or being renewed. Nothing is lost. Wait ten seconds and reload.` 503
		}
		handle {
			respond `<!doctype html><html lang=en><title>That does not exist</title><h1>That does not exist</h1>
			<p>Check the address, or start again from Microsoft 365.` {http.error.status_code}
		}
	}
	handle /healthz {
		respond ok
	}
	handle /readyz {
		error 404
	}
}

# A replica that does not take the connection is passed over. What it has begun to do is asked for again only with GET.
(replicas) {
	lb_policy round_robin
	lb_try_duration 5s
	lb_try_interval 100ms
	fail_duration 5s
	header_down -Server
	# None of ours has a worker beyond its own folder: a taken-over one must not stand between a browser and the others.
	header_down -Service-Worker-Allowed
	transport http {
		dial_timeout 1s
	}
}

# And so is one that says it is not ready.
(ready) {
	health_uri /readyz
	health_interval 3s
	health_timeout 3s
}
"""


def caddyfile(table: Services) -> str:
    """The whole file, for the services of the table that browsers and phones reach."""
    reached = [row for row in table.values() if row.mounts]
    parts = [HEAD]
    for row in reached:
        parts += [_backend(row, reached, ready=True), _backend(row, reached, ready=False)]
    parts += [_site(host, reached) for host in SITES]
    return "\n".join(parts)


def cookie_starts(row: ServiceRow) -> list[str]:
    """How the service's cookies begin in a Cookie header: the name and `=`, or the common start of many names."""
    names = [HostCookie(name).name for name in row.cookies]
    return [name.removesuffix("*") if name.endswith("*") else f"{name}=" for name in names]


def _backend(row: ServiceRow, reached: list[ServiceRow], *, ready: bool) -> str:
    """`import <service>`: pass on to its replicas, which `BLOK365_UPSTREAM_<SERVICE>` may name anew.

    Each import asks replicas on its own account, and static files can be had from one that is not ready: so
    `<service>-static` asks nobody.
    """
    default = " ".join(f"{name}:{PORT}" for name in row.containers)
    lines = [
        f"({row.name}{'' if ready else '-static'}) {{",
        f"\treverse_proxy {{$BLOK365_UPSTREAM_{row.name.upper()}:{default}}} {{",
        "\t\timport replicas",
        *(["\t\timport ready"] if ready else []),
    ]
    for other in reached:
        if other.name != row.name:
            # Caddy takes an empty replacement for none, and the pattern for the whole new header.
            lines += [f'\t\theader_up Cookie "{start}[^;]*(;|$)" "_=;"' for start in cookie_starts(other)]
    return "\n".join([*lines, "\t}", "}", ""])


def _site(host: Host, reached: list[ServiceRow]) -> str:
    """Each service's own paths in one matcher, then static files of the others; `/` comes last."""
    site = SITES[host]
    root = ""
    lines = [f"{{${site.variable}:{site.default}}} {{", "\timport around"]
    for row in reached:
        here = [mount.prefix for mount in row.mounts if mount.host is host]
        own = [prefix for prefix in here if prefix != "/"]
        root = row.name if "/" in here else root
        patterns = " ".join(f"{prefix}*" for prefix in (*own, f"{STATIC}{row.name}/"))
        backend = row.name if own else f"{row.name}-static"
        lines += [
            f"\t@{row.name} path {patterns}",
            f"\thandle @{row.name} {{",
            f"\t\timport {backend}",
            "\t}",
        ]
    if root:
        lines += [f"\thandle {STATIC}* {{", "\t\terror 404", "\t}"]
    lines += ["\thandle {", f"\t\t{f'import {root}' if root else 'error 404'}", "\t}", "}", ""]
    return "\n".join(lines)
