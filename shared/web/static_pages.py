"""The pages that are files: which host has which, in which languages, under which policy.

Such a page holds secrets or leads to those that do. No service can change it: the proxy answers it from its own files.
"""

import re
from dataclasses import dataclass

from shared.services import Host
from shared.web.i18n import DEFAULT, LANGUAGES

FRENCH = r"(?i)^\s*fr(?:[-,;]|\s*$)"
"""Finds an Accept-Language header whose first language is French. Everybody else gets English."""


@dataclass(frozen=True, kw_only=True)
class StaticPage:
    """A page, or a file beside it, at a fixed path.

    `file`: its name in the built tree; `{lang}` stands in it where there is one for each language. `csp`: its content
    security policy, with `{origin}` for the origin of its host. `features`: as in `headers.HeaderPolicy`.
    """

    host: Host
    path: str
    file: str
    csp: str
    features: tuple[str, ...] = ()

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that it is there in; empty for a file without words."""
        return LANGUAGES if "{lang}" in self.file else ()

    def name(self, lang: str) -> str:
        """The file's name in that language."""
        return self.file.format(lang=lang)


def language(accept: str) -> str:
    """The language of a page for that Accept-Language header. Caddy decides by the same expression."""
    return "fr" if re.search(FRENCH, accept) else DEFAULT


_NOTHING_ELSE = (
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
_OURS = (
    "default-src 'none'; script-src {origin}/static/; style-src {origin}/static/; connect-src {origin}/readyz; "
    f"img-src 'self'; font-src 'self'; {_NOTHING_ELSE}"
)

PAGES = (
    StaticPage(
        host=Host.PHONE,
        path="/",
        file="pages/phone.{lang}.html",
        csp="default-src 'none'; script-src {origin}/static/; style-src {origin}/static/; "
        "worker-src {origin}/sw.js; connect-src {origin}/api/; manifest-src 'self'; img-src 'self' data: blob:; "
        f"font-src 'self'; {_NOTHING_ELSE}",
        features=("camera",),  # to scan the code on the sign-in page
    ),
    StaticPage(
        host=Host.PHONE,
        path="/sw.js",
        file="pages/sw.js",
        csp="default-src 'none'; connect-src {origin}; img-src {origin}/static/",  # the notification's icon
    ),
    StaticPage(
        host=Host.FRONT,
        path="/",
        file="pages/front.{lang}.html",
        csp=_OURS.replace(
            "{origin}/readyz", "{origin}/readyz {origin}/walk/"
        ),  # answered by `make run` alone
    ),
    StaticPage(host=Host.KIOSK, path="/", file="pages/kiosk.{lang}.html", csp=_OURS),
)


def static_page(host: Host, path: str) -> StaticPage | None:
    """The page at that path of that kind of host."""
    return next((page for page in PAGES if (page.host, page.path) == (host, path)), None)
