"""The text of the Caddyfile (Caddy 2.6 or newer), made from the table of services and that of static pages."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from shared.services import Host, ServiceRow, Services
from shared.web.headers import HeaderPolicy
from shared.web.paths import LEADING, LEADS, PHONE_EARLIER, STATIC
from shared.web.proxy import BAD_ANSWER, BEYOND_THE_ANSWER, JSON_HEADERS, bad_answer_body, cookie_starts
from shared.web.site import FILE_CSP, FOREVER, LATEST
from shared.web.static import TYPES
from shared.web.static_pages import FRENCH, PAGES, StaticPage

PORT = 8000
"""Where each service listens in its container (deploy/Dockerfile)."""
TREE = "{$BLOK365_PAGES:/srv/blok365}"
"""The folder with the static tree."""
START = "{$BLOK365_WSFED_START_URL:https://m365.cloud.microsoft/}"


class Site(NamedTuple):
    """Where a host's origin comes from, and what it is without that."""

    variable: str
    default: str

    @property
    def origin(self) -> str:
        """As it stands in the file."""
        return f"{{${self.variable}:{self.default}}}"


SITES: Mapping[Host, Site] = {
    Host.SIGNIN: Site("BLOK365_ORIGIN", "https://id.localhost:8443"),
    Host.PHONE: Site("BLOK365_PHONE_ORIGIN", "https://key.id.localhost:8443"),
    Host.CONSOLE: Site("BLOK365_CONSOLE_ORIGIN", "https://console.localhost:8443"),
    Host.KIOSK: Site("BLOK365_KIOSK_ORIGIN", "https://kiosk.localhost:8443"),
    Host.FRONT: Site("BLOK365_FRONT_ORIGIN", "https://localhost:8443"),
}
"""`deploy/caddy/start` makes those that are no settings from `BLOK365_ORIGIN`."""
FRONT_BY_ADDRESS = Site("BLOK365_FRONT_ADDRESS", "https://127.0.0.1:8443")
ANY = Site("BLOK365_ANY", "https://:8443")
"""Every other name on the same port."""

HEAD = """\
# Made by `python -m deploy.caddy` from shared/services.py and shared/web/static_pages.py. Change these, then run it.
# Names on localhost get certificates of Caddy's own authority, public names get them by ACME, unless
# BLOK365_CERTIFICATES says otherwise (`deploy/caddy/start`).
{
	admin off
	skip_install_trust
	default_sni 127.0.0.1
	{$BLOK365_CADDY_OPTION:}
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
	handle /healthz {
		respond ok
	}
	handle /readyz {
		error 404
	}
}

# What people read when nothing of ours answers.
(errors) {
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
		<p>Check the address, or start again from
		<a href="{$BLOK365_WSFED_START_URL:https://m365.cloud.microsoft/}">Microsoft 365</a>.` {http.error.status_code}
	}
}

# A replica that does not take the connection is passed over. What it has begun to do is asked for again only with GET.
(replicas) {
	lb_policy round_robin
	lb_try_duration 5s
	lb_try_interval 100ms
	fail_duration 5s
	# After it a connection would carry what no rule is applied to.
	header_up -Upgrade
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
    parts = [HEAD, _rules(), _files(), *(_backend(row, reached) for row in reached)]
    parts += [_site(host, reached) for host in SITES]
    return "\n".join([*parts, _nobodys()])


def _rules() -> str:
    """The proxy's rule for each kind of answer (`shared.web.proxy`)."""
    deleted = [f"\theader_down -{name}" for name in ("Server", *BEYOND_THE_ANSWER)]
    lines = [
        "# What goes through of a service's answer: of pages all but what reaches beyond the answer.",
        "(pages) {",
        *deleted,
        "}",
        "",
        "# Of a JSON API status and body, under headers that are ours. A redirect does not go through.",
        "(json) {",
        "\theader_down -**",
        "\t@elsewhere status 1xx 3xx",
        "\thandle_response @elsewhere {",
        f"\t\terror {BAD_ANSWER}",
        "\t}",
        "}",
        "",
        "# The second block works before the first, and on early hints too, which header_down does not see.",
        "(json-headers) {",
        *_header(_json(), defer=True),
        "\theader {",
        "\t\tdefer",
        "\t\t-**",
        "\t}",
        "}",
        "",
    ]
    return "\n".join(lines)


def _json() -> dict[str, str]:
    return {**JSON_HEADERS, "Strict-Transport-Security": "max-age=31536000"}


def _header(headers: Mapping[str, str], *, defer: bool = False, depth: int = 1) -> list[str]:
    """A block that sets these headers, after everything else if it is deferred."""
    tabs = "\t" * depth
    lines = [f'{tabs}\t{name} "{value}"' for name, value in headers.items()]
    return [f"{tabs}header {{", *(["\t" + tabs + "defer"] if defer else []), *lines, f"{tabs}}}"]


def _own(csp: str, features: Iterable[str] = (), *, https: bool = True) -> dict[str, str]:
    """The headers of what the proxy answers from files: the same that the one-process server sets."""
    headers: dict[str, str] = {"Cache-Control": ""}
    HeaderPolicy(https=https, features=tuple(features)).apply(headers, csp)
    return {name: value for name, value in headers.items() if name not in ("Cache-Control", "Server")}


def _files() -> str:
    """`import static`: files under `/static/`, and those of another version as long as both are about."""
    types = [f'\theader *{ending} Content-Type "{kind}"' for ending, kind in TYPES.items()]
    lines = [
        "(static) {",
        f"\troot * {TREE}",
        "\tencode gzip",
        *_header(_own(FILE_CSP.text)),
        *types,
        *_only_read(1),
        "\t@kept {",
        f"\t\tpath_regexp ^{STATIC}[a-z0-9-]+/[0-9a-f]{{16}}/",
        "\t\tfile",
        "\t}",
        "\thandle @kept {",
        f'\t\theader Cache-Control "{FOREVER}"',
        "\t\tfile_server",
        "\t}",
        f"\t@other path_regexp name ^{STATIC}([a-z0-9-]+)/[^/]+/(.+)$",
        "\thandle @other {",
        "\t\theader Cache-Control no-store",
        f"\t\trewrite * {STATIC}{{re.name.1}}/{LATEST}/{{re.name.2}}",
        "\t\tfile_server",
        "\t}",
        "\thandle {",
        "\t\terror 404",
        "\t}",
        "}",
        "",
    ]
    return "\n".join(lines)


def _backend(row: ServiceRow, reached: list[ServiceRow]) -> str:
    """`import <service>`: pass on to its replicas, which `BLOK365_UPSTREAM_<SERVICE>` may name anew."""
    default = " ".join(f"{name}:{PORT}" for name in row.containers)
    lines = [
        f"({row.name}) {{",
        f"\treverse_proxy {{$BLOK365_UPSTREAM_{row.name.upper()}:{default}}} {{",
        "\t\timport replicas",
        "\t\timport ready",
        f"\t\timport {row.answers}",
    ]
    for other in reached:
        if other.name != row.name:
            # Caddy takes an empty replacement for none, and the pattern for the whole new header.
            lines += [f'\t\theader_up Cookie "{start}[^;]*(;|$)" "_=;"' for start in cookie_starts(other)]
    # An import cannot be the first line of what is imported.
    last = ["\timport json-headers"] if row.answers == "json" else []
    return "\n".join([*lines, "\t}", *last, "}", ""])


def _site(host: Host, reached: list[ServiceRow]) -> str:
    """Redirects and files first, then each service's own paths; the page or service at `/` comes last."""
    site = SITES[host]
    addresses = f"{site.origin}, {FRONT_BY_ADDRESS.origin}" if host is Host.FRONT else site.origin
    lines = [f"{addresses} {{", "\timport around", *_errors(host, reached), *_leads(host)]
    lines += [f"\thandle {STATIC}* {{", "\t\timport static", "\t}"]
    root = ""
    for row in reached:
        here = [mount.prefix for mount in row.mounts if mount.host is host]
        root = row.name if "/" in here else root
        if own := [f"{prefix}*" for prefix in here if prefix != "/"]:
            lines += [
                f"\t@{row.name} path {' '.join(own)}",
                f"\thandle @{row.name} {{",
                f"\t\timport {row.name}",
                "\t}",
            ]
    for page in PAGES:
        if page.host is host and not root:
            lines += _page(page, site)
    return "\n".join(
        [*lines, "\thandle {", f"\t\t{f'import {root}' if root else 'error 404'}", "\t}", "}", ""]
    )


def _errors(host: Host, reached: list[ServiceRow]) -> list[str]:
    """What comes instead of an answer: for programs that ask a JSON API in JSON, for people a page."""
    lines = ["\thandle_errors {", "\t\theader -Server"]
    for row in reached:
        here = [f"{mount.prefix}*" for mount in row.mounts if mount.host is host and row.answers == "json"]
        if here:
            lines += [
                f"\t\t@{row.name}-asked path {' '.join(here)}",
                f"\t\thandle @{row.name}-asked {{",
                *_header(_json(), depth=3),
            ]
            lines += [
                f"\t\t\trespond `{bad_answer_body('{http.error.status_code}')}` {{http.error.status_code}}",
                "\t\t}",
            ]
    return [*lines, "\t\thandle {", "\t\t\timport errors", "\t\t}", "\t}"]


def _leads(host: Host) -> list[str]:
    """Redirects between our hosts."""
    if host is Host.SIGNIN:
        return [
            f"\t@moved path {PHONE_EARLIER} {PHONE_EARLIER}/*",
            "\thandle @moved {",
            f"\t\tredir {SITES[Host.PHONE].origin}/ 308",
            "\t}",
        ]
    lines: list[str] = []
    for path, to in LEADS.items() if host in LEADING else ():
        url = START if to == "start" else f"{SITES[to].origin}/"
        lines += [f"\thandle {path} {{", f"\t\tredir {url} 303", "\t}"]
    return lines


def _page(page: StaticPage, site: Site) -> list[str]:
    """A page, in the language that the browser names first."""
    origin = "{http.request.scheme}://{http.request.hostport}" if page.host is Host.FRONT else site.origin
    # A browser that was told so would ask other programs of this machine over https too, whatever their port.
    https = page.host is not Host.FRONT
    own = _own(page.csp.format(origin=origin), page.features, https=https)
    headers = {**own, "Cache-Control": "no-cache"}
    # Only files are compressed: what a service answers may hold a secret beside what its reader has sent.
    lines = [f"\thandle {page.path} {{", f"\t\troot * {TREE}", "\t\tencode gzip"]
    if not page.languages:
        kind = TYPES[f".{page.file.rpartition('.')[2]}"]
        lines += [*_header({**headers, "Content-Type": kind}, depth=2), *_only_read(2), "\t\thandle {"]
        return [*lines, f"\t\t\trewrite * /{page.file}", "\t\t\tfile_server", "\t\t}", "\t}"]
    kept = {**headers, "Content-Type": "text/html; charset=utf-8", "Vary": "Accept-Language"}
    lines += [*_header(kept, depth=2), *_only_read(2)]
    lines.append(f"\t\t@fr header_regexp Accept-Language {FRENCH}")
    for lang in reversed(page.languages):
        lines += [
            f"\t\thandle {'@fr ' if lang == 'fr' else ''}{{",
            f"\t\t\theader Content-Language {lang}",
            f"\t\t\trewrite * /{page.name(lang)}",
            "\t\t\tfile_server",
            "\t\t}",
        ]
    return [*lines, "\t}"]


def _only_read(depth: int) -> list[str]:
    """Files are not posted to. Caddy 2.6 would send them all the same."""
    tabs = "\t" * depth
    return [
        f"{tabs}@changes not method GET HEAD",
        f"{tabs}handle @changes {{",
        f"{tabs}\terror 405",
        f"{tabs}}}",
    ]


def _nobodys() -> str:
    """A name that is not ours: without a certificate there is no connection, and after one a refusal."""
    own = _own("default-src 'none'; frame-ancestors 'none'", https=False)
    lines = [
        f"{ANY.origin} {{",
        "\theader -Server",
        *_header({**own, "Cache-Control": "no-store", "Content-Type": "text/html; charset=utf-8"}),
        "\trespond `<!doctype html><html lang=en><title>Wrong address</title><h1>Wrong address</h1>",
        "\t<p>This server does not answer under that name. Check the address, or start again from Microsoft 365.` 421",
        "}",
        "",
    ]
    return "\n".join(lines)
