"""The text of the Caddyfile (Caddy 2.6 or newer)."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from services.approval.routes import SESSION_COOKIE
from services.wsfed.domain.session import ACCOUNT_COOKIES
from services.wsfed.routes.cookies import BROWSER_COOKIE
from shared.web.cookies import HostCookie
from shared.web.paths import STATIC, Host, Mount

PORT = 8000
"""Where each service listens in its container (deploy/Dockerfile)."""
REPLICAS: Mapping[str, int] = {"wsfed": 2, "approval": 2}
"""Containers of a service in docker-compose.yml, `<service>-1` and so on; without an entry there is one."""


class Site(NamedTuple):
    """Where a host's origin comes from, and what it is without that."""

    variable: str
    default: str


SITES: Mapping[Host, Site] = {
    Host.SIGNIN: Site("BLOK365_ORIGIN", "https://localhost:8443"),
    Host.CONSOLE: Site("BLOK365_CONSOLE_ORIGIN", "https://console.localhost:8443"),
    Host.KIOSK: Site("BLOK365_KIOSK_ORIGIN", "https://kiosk.localhost:8443"),
}

COOKIES: Mapping[str, tuple[str, ...]] = {
    "wsfed": (f"{BROWSER_COOKIE.name}=", HostCookie(ACCOUNT_COOKIES).name),
    "approval": (f"{SESSION_COOKIE.name}=",),
}
"""How the cookies of services that share a host begin. No other service is shown them."""

HEAD = """\
# Made by `python -m deploy.caddy` from shared/web/paths.py. Change that, then run it again.
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


def caddyfile(paths: Iterable[Mount], services: Iterable[str]) -> str:
    """The whole file. `services`: those that there are; paths of others lead to "that does not exist"."""
    mounts = [mount for mount in paths if mount.service in set(services)]
    reached = list(dict.fromkeys(mount.service for mount in mounts))
    parts = [HEAD]
    for service in reached:
        parts += [_backend(service, reached, ready=True), _backend(service, reached, ready=False)]
    parts += [_site(host, [mount for mount in mounts if mount.host is host], reached) for host in SITES]
    return "\n".join(parts)


def upstreams(service: str) -> list[str]:
    """Host names of a service's containers."""
    count = REPLICAS.get(service, 1)
    return [service] if count == 1 else [f"{service}-{number}" for number in range(1, count + 1)]


def _backend(service: str, reached: Iterable[str], *, ready: bool) -> str:
    """`import <service>`: pass on to its replicas, which `BLOK365_UPSTREAM_<SERVICE>` may name anew.

    Each import asks replicas on its own account, and static files can be had from one that is not ready: so
    `<service>-static` asks nobody.
    """
    default = " ".join(f"{name}:{PORT}" for name in upstreams(service))
    lines = [
        f"({service}{'' if ready else '-static'}) {{",
        f"\treverse_proxy {{$BLOK365_UPSTREAM_{service.upper()}:{default}}} {{",
        "\t\timport replicas",
        *(["\t\timport ready"] if ready else []),
    ]
    for other in reached:
        if other != service:
            # Caddy takes an empty replacement for none, and the pattern for the whole new header.
            lines += [f'\t\theader_up Cookie "{name}[^;]*(;|$)" "_=;"' for name in COOKIES.get(other, ())]
    return "\n".join([*lines, "\t}", "}", ""])


def _site(host: Host, mounts: list[Mount], reached: Iterable[str]) -> str:
    """Each service's own paths in one matcher, then static files of the others; `/` comes last."""
    site = SITES[host]
    root = next((mount.service for mount in mounts if mount.prefix == "/"), None)
    lines = [f"{{${site.variable}:{site.default}}} {{", "\timport around"]
    for service in reached:
        own = [mount.prefix for mount in mounts if mount.service == service and mount.prefix != "/"]
        patterns = " ".join(f"{prefix}*" for prefix in (*own, f"{STATIC}{service}/"))
        backend = service if own else f"{service}-static"
        lines += [f"\t@{service} path {patterns}", f"\thandle @{service} {{", f"\t\timport {backend}", "\t}"]
    if root is not None:
        lines += [f"\thandle {STATIC}* {{", "\t\terror 404", "\t}"]
    lines += ["\thandle {", f"\t\t{f'import {root}' if root else 'error 404'}", "\t}", "}", ""]
    return "\n".join(lines)
