"""The console's pages: templates and words in English and French, and the frame around them.

A template of somebody who is signed in extends `console.html` and reads `view.frame`; one of a stranger extends the
common frame. Forms carry the field `csrf`; every list and form works without scripts, except where a passkey is asked
for. The browser code is in `../static/` and has no words of its own.

Another section hangs itself in by an entry in `views.SECTIONS`, its words (`nav.<key>`), its routes in
`services.admin.routes.ROUTES`, and templates here; `console-macros.html` has fields, tables and buttons.
"""

from pathlib import Path

from aiohttp import web

from services.admin.domain.roles import RULES, Actor
from services.admin.domain.tenants import Tenant
from services.admin.handlers.console_access import Visitor
from services.admin.pages.views import SECTIONS, Frame, Page
from shared.clock import Clock
from shared.web.frame import Pages
from shared.web.headers import Csp

PACKAGE = Path(__file__).parent.parent

CONSOLE_CSP = Csp(trusted_types=("'none'",))
"""No script of the console makes markup from text,"""
LIST_CSP = Csp(trusted_types=("blok365-lists",))
"""but in the pages of lists, where that policy of `lists.js` takes every script out of it."""
LOGO_CSP = Csp(trusted_types=("'none'",), image=("'self'", "blob:"))
"""On the page of the logo the browser decodes the file that was chosen, as a picture: in it no script runs."""


class ConsolePages:
    """Renders the console's pages. `pages` is shared with the application, which serves the static files."""

    def __init__(self, clock: Clock) -> None:
        self.pages = Pages("admin", PACKAGE)
        self._clock = clock

    def render(
        self, request: web.BaseRequest, template: str, view: object, *, status: int = 200
    ) -> web.Response:
        """The page in the language that the browser prefers."""
        csp = LIST_CSP if isinstance(view, Page) and view.is_list else CONSOLE_CSP
        csp = LOGO_CSP if template == "logo.html" else csp
        return self.pages.render(request, template, view=view, status=status, csp=csp)

    def frame(
        self,
        visitor: Visitor,
        *,
        csrf: str,
        actor: Actor | None = None,
        tenant: Tenant | None = None,
        section: str = "",
        said: str = "",
    ) -> Frame:
        """What every page shows around its content. `said` that is no key of ours is left out."""
        words = self.pages.words["en"]
        return Frame(
            administrator=visitor.administrator,
            session=visitor.session,
            csrf=csrf,
            tenant=tenant,
            role=None if actor is None else actor.role,
            sections=()
            if actor is None
            else tuple(each for each in SECTIONS if actor.role in RULES[each.act].roles),
            section=section,
            several=len(visitor.teams) > 1,
            said=said if words.has(f"said.{said}") else "",
            now=self._clock.now(),
        )
