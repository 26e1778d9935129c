"""One page frame for every page: language, title, skip link, main, status, footer, nonce, style sheet."""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from shared.web import i18n
from shared.web.headers import CSP, DEFAULT_CSP, Csp
from shared.web.static import StaticFiles

HERE = Path(__file__).parent

NONCE = web.RequestKey("nonce", str)
REQUEST_ID = web.RequestKey("request_id", str)

_SIGN_IN = re.compile(r"<title>[^<]*</title>|<[^>]*>|(?P<word>\b[Ss]ign-ins?\b)")
"""A title or a tag, which stay as they are, or the word in the text between them. No tag's attribute holds a bare `>`:
values are escaped, and templates write none."""


class Pages:
    """A service's templates and words, and its static files, inside the common frame.

    `package` is the service's folder: templates in `pages/*.html` (each `{% extends "frame.html" %}`), words in
    `pages/{en,fr}.json`, browser code in `static/`. Without a package only the common pages are there.
    Templates see `view`, `t` (words by key), `lang`, `static(name)`, `has_static(name)`, `script(name)` and
    `request_id`; every value is escaped, and a name that does not exist is an error. Pages that are files are rendered
    without a nonce.
    """

    def __init__(self, service: str, package: Path | None = None) -> None:
        own = [package / "pages"] if package else []
        self.service = service
        self.static = StaticFiles(service, [package / "static"] if package else [])
        self.words = i18n.load([HERE / "strings", *own])
        self._templates = Environment(
            loader=FileSystemLoader([*own, HERE / "templates"]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals["static"] = self.static.url
        self._templates.globals["has_static"] = self.static.files.__contains__

    def text(
        self, template: str, *, view: object = None, lang: str, nonce: str = "", request_id: str = ""
    ) -> str:
        """The page as text. Raises jinja2 errors for a broken template: a fault of ours, never of input."""
        page = self._templates.get_template(template).render(
            view=view,
            lang=lang,
            t=self.words[lang],
            script=partial(self._script, nonce),
            request_id=request_id,
        )
        return unbroken(page)

    def render(
        self,
        request: web.BaseRequest,
        template: str,
        *,
        view: object = None,
        lang: str | None = None,
        status: int = 200,
        csp: Csp = DEFAULT_CSP,
        headers: Mapping[str, str] | None = None,
    ) -> web.Response:
        """The page as a response. `lang` is a language chosen earlier; without one the request decides."""
        chosen = lang if lang in self.words else i18n.choose(request)
        body = self.text(
            template,
            view=view,
            lang=chosen,
            nonce=request[NONCE],
            request_id=request[REQUEST_ID],
        )
        response = web.Response(text=body, content_type="text/html", charset="utf-8", status=status)
        response.headers.update(headers or {})
        response.headers["Content-Language"] = chosen
        response.headers["Vary"] = "Accept-Language"
        response[CSP] = csp
        return response

    def _script(self, nonce: str, name: str, module: bool = True) -> Markup:
        kind = Markup(' type="module"') if module else ""
        allowed = Markup(' nonce="{}"').format(nonce) if nonce else ""
        return Markup('<script{}{} src="{}"></script>').format(kind, allowed, self.static.url(name))


def unbroken(page: str) -> str:
    """The page with every "sign-in" in its text kept on one line: browsers break lines after a hyphen.

    Titles and attributes stay as they are. The text itself does not change either, as it would with a no-break hyphen
    (U+2011), which searching, copying and some screen readers do not take for a hyphen.
    """
    return _SIGN_IN.sub(
        lambda found: f'<span class="nowrap">{found["word"]}</span>' if found["word"] else found[0], page
    )
