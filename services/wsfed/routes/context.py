"""What all routes work with, and what they read from a request: cookies, the browser, its own transaction."""

from dataclasses import dataclass, replace

from aiohttp import web

from services.wsfed.config import WsFedSettings
from services.wsfed.domain.transaction import Transaction
from services.wsfed.handlers.common import Browser, HeldSession, load_for_browser
from services.wsfed.pages import SignInPages
from services.wsfed.ports import Dependencies
from services.wsfed.routes.cookies import BROWSER_COOKIE, account_cookie
from shared.addresses import ClientNetworks
from shared.agent import browser_in_words
from shared.clouds import Cloud
from shared.geoip import GeoIp
from shared.ids import new_secret
from shared.web import i18n, inputs
from shared.web.cookies import Csrf


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteContext:
    """What wsfed's routes share: dependencies, pages, and how a transaction is loaded for a browser."""

    deps: Dependencies
    settings: WsFedSettings
    pages: SignInPages
    csrf: Csrf
    client_networks: ClientNetworks
    geoip: GeoIp

    async def cloud_of(self, slug: str) -> Cloud:
        """The tenant's cloud, with its addresses in this deployment; the worldwide one when there is no such tenant."""
        tenant = await self.deps.directory.tenant(slug)
        return self.settings.cloud() if tenant is None else self.settings.cloud(tenant.configured.cloud)

    def browser_secret(self, request: web.Request) -> tuple[str, bool]:
        """The secret in the browser cookie, or a new one; and whether it is new and must still be set."""
        secret = BROWSER_COOKIE.read(request)
        return (secret, False) if secret else (new_secret(self.deps.ids), True)

    async def load(self, request: web.Request, *, recent: bool = False) -> Transaction:
        """The transaction of the address, for its own browser. Raises NotFound, Gone."""
        secret = BROWSER_COOKIE.read(request)
        return await load_for_browser(self.deps, request.match_info["transaction"], secret, recent=recent)

    async def posted(self, request: web.Request) -> tuple[Transaction, dict[str, str]]:
        """The transaction of a form that came from our own page in the same browser, and the form."""
        transaction = await self.load(request, recent=True)
        form = await inputs.form(request)
        self.csrf.check(request, form.get(Csrf.FIELD), BROWSER_COOKIE.read(request), transaction.id)
        return transaction, form

    def browser(self, request: web.Request, transaction: Transaction) -> Browser:
        """The browser, with its cookie for the account that the transaction names."""
        return Browser(
            secret=BROWSER_COOKIE.read(request) or "",
            address=inputs.client_address(request, self.client_networks),
            agent=browser_in_words(request.headers.get("User-Agent", "")),
            held=self.held(request, transaction.tenant, transaction.username),
        )

    def held(self, request: web.Request, tenant: str, username: str) -> HeldSession:
        """The session of this browser's cookie for that account."""
        return HeldSession(self.deps, account_cookie(tenant, username).read(request))

    def asking_browser(self, request: web.Request, transaction: Transaction) -> Browser:
        """The browser with its place, where it seems to be, in the language of its page; empty when unknown."""
        browser = self.browser(request, transaction)
        chosen = language(transaction.request.locale) or i18n.choose(request)
        found = self.geoip.find(browser.address, chosen)
        return browser if found is None else replace(browser, place=found.text)


def language(locale: str | None) -> str | None:
    """The language of a page, from the locale that Entra sent; None: the browser's own."""
    return i18n.from_tag(locale) if locale else None


def see(transaction: str) -> web.Response:
    """Redirect (303) to the transaction's page, so that a reload repeats no POST."""
    return web.Response(status=303, headers={"Location": f"/signin/{transaction}"})
