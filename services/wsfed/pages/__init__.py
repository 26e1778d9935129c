"""The sign-in pages: one template for every state of a transaction, one for the token on its way out.

The table of URLs is in `services.wsfed`. Every form carries `csrf`. The stream `events` sends `state` events
`{"state", "version"}` (204 when nothing more can happen), `state` answers the same as JSON. Words are in `en.json` and
`fr.json`; the browser code has none of its own and draws nothing: when the state changes it fetches the page and
exchanges `<main>`.
"""

from pathlib import Path

from aiohttp import web

from services.wsfed.domain.options import PageState
from services.wsfed.pages.views import DevicesAdded, OwnPage, Question, SignIn, TokenForm, TrialPage
from shared.web.frame import Pages
from shared.web.headers import Csp

PACKAGE = Path(__file__).parent.parent

SIGN_IN_CSP = Csp(trusted_types=("blok365",))

_STATUS = {PageState.NEUTRAL: 403, PageState.LOOP: 409}


class SignInPages:
    """Renders the sign-in pages. `pages` is shared with the application, which serves the static files."""

    def __init__(self, pages: Pages | None = None) -> None:
        self.pages = pages or Pages("wsfed", PACKAGE)

    def sign_in(
        self, request: web.BaseRequest, view: SignIn, *, lang: str | None = None, status: int | None = None
    ) -> web.Response:
        """The page for that state. `lang` was chosen from `mkt`, `lc` when the transaction began.

        `status`: instead of the state's own, where a post was refused and this page says what is possible.
        """
        return self.pages.render(
            request,
            "signin.html",
            view=view,
            lang=lang,
            status=status or _STATUS.get(view.state, 200),
            csp=SIGN_IN_CSP,
        )

    def added(self, request: web.BaseRequest, view: DevicesAdded, *, lang: str | None = None) -> web.Response:
        """The page that tells of phones before it goes on to the token."""
        return self.pages.render(request, "added.html", view=view, lang=lang)

    def own(
        self,
        request: web.BaseRequest,
        view: OwnPage | Question,
        *,
        lang: str | None = None,
        status: int | None = None,
    ) -> web.Response:
        """The person's own page, or the question before something that cannot be taken back."""
        template = "me.html" if isinstance(view, OwnPage) else "question.html"
        return self.pages.render(
            request, template, view=view, lang=lang, status=status or 200, csp=SIGN_IN_CSP
        )

    def trial(self, request: web.BaseRequest, view: TrialPage, *, lang: str | None = None) -> web.Response:
        """The result of a trial."""
        return self.pages.render(request, "trial.html", view=view, lang=lang, csp=SIGN_IN_CSP)

    def token(self, request: web.BaseRequest, view: TokenForm, *, lang: str | None = None) -> web.Response:
        """The form that posts itself to `view.action`.

        Chromium applies form-action to every redirect that follows the post, too, and Entra redirects on to
        applications: over https, to `http://localhost:PORT`, to schemes of their own. So this policy sets no limit
        (docs/divergences.md); that the form goes to `view.action` is ours to guarantee: the page holds nothing that a
        stranger can write markup into, and no other form.
        """
        csp = Csp(form_action=None)
        return self.pages.render(request, "token.html", view=view, lang=lang, csp=csp)


__all__ = ["PACKAGE", "SignInPages"]
