"""The few pages, in English and French. Only the auto-posting form has a script, one line of it."""

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from deploy.standins.entra.errors import WORDS, EntraError
from deploy.standins.entra.settings import User
from deploy.standins.entra.verify import SignedInUser
from shared.clock import iso_millis

STYLE = Path(__file__).with_name("style.css").read_text("utf-8")

_POST_NOW = "document.forms[0].submit()"
_TAG = re.compile(r"[a-z]{2,3}(-[A-Z]{2})?")
_MARK = (
    '<svg width="24" height="24" viewBox="0 0 24 24" aria-hidden="true"><rect x="3" y="3" width="18" height="18" '
    'rx="4" fill="none" stroke="currentColor" stroke-width="2"/><path d="M8 12h8M12 8v8" stroke="currentColor" '
    'stroke-width="2" stroke-linecap="round"/></svg>'
)
_TICK = (
    '<svg class="outcome ok" width="48" height="48" viewBox="0 0 24 24" aria-hidden="true" fill="none" '
    'stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round">'
    '<circle cx="12" cy="12" r="10"/><path d="M7.5 12.5l3 3 6-6.5"/></svg>'
)
_CROSS = (
    '<svg class="outcome failed" width="48" height="48" viewBox="0 0 24 24" aria-hidden="true" fill="none" '
    'stroke="currentColor" stroke-width="2" stroke-linecap="round">'
    '<circle cx="12" cy="12" r="10"/><path d="M12 7v6M12 16.5v.1"/></svg>'
)


def policy(page_posts_itself: bool = False) -> str:
    """The Content-Security-Policy: no scripts, but for the one line of the auto-posting form, by its hash."""
    digest = base64.b64encode(hashlib.sha256(_POST_NOW.encode()).digest()).decode()
    scripts = f"; script-src 'sha256-{digest}'" if page_posts_itself else ""
    return f"default-src 'none'{scripts}; style-src 'self'; frame-ancestors 'none'; base-uri 'none'"


def market(accept_language: str) -> str:
    """The parameter `mkt` for a browser with that Accept-Language header: its first language, such as `fr-FR`."""
    first = accept_language.partition(",")[0].partition(";")[0].strip()
    name, _, region = first.partition("-")
    tag = f"{name.lower()}-{region.upper()}" if region else name.lower()
    return tag if _TAG.fullmatch(tag) else "en-US"


class Pages:
    """The pages in one language: French where it is the first one of the Accept-Language header, else English."""

    def __init__(self, accept_language: str = "") -> None:
        self._language = "fr" if market(accept_language).startswith("fr") else "en"
        self._words = WORDS[self._language]

    def word(self, name: str, **values: str) -> str:
        """A text of the catalogue. It is no HTML yet."""
        text: str = self._words[name]
        return text.format(**values)

    def start_page(self, users: Iterable[User], variants: Iterable[str], sign_outs: Iterable[str]) -> str:
        """Some users to choose from, the user name field, the shapes of requests, and where to sign out."""
        accounts = "".join(
            f'<li><a class="account" href="/start?username={escape(_quoted(user.upn))}">{_chip(user.upn)}</a></li>'
            for user in users
        )
        options = "".join(f"<option>{escape(name)}</option>" for name in variants)
        links = "".join(
            f'<p><a href="/signout?domain={escape(_quoted(domain))}">'
            f"{escape(self.word('sign_out_of', domain=domain))}</a></p>"
            for domain in sign_outs
        )
        field = self._escaped("other_user" if accounts else "user_name")
        return self._page(
            "home",
            (
                f'<p>{self._escaped("home_who")}</p>\n<ul class="accounts">{accounts}</ul>\n'
                if accounts
                else ""
            )
            + '<form action="/start" method="get">\n'
            f'<label for="username">{field}</label>\n'
            '<input id="username" name="username" type="email" autocomplete="off" required>\n'
            f'<button name="method" value="get">{self._escaped("next")}</button>\n'
            f"<details><summary>{self._escaped('more')}</summary>\n"
            f'<label for="variant">{self._escaped("shape")}</label>\n'
            f'<select id="variant" name="variant">{options}</select>\n'
            f'<button class="second" name="method" value="post">{self._escaped("next_post")}</button>\n'
            f"{links}</details>\n</form>",
        )

    def post_page(self, action: str, fields: Sequence[tuple[str, str]]) -> str:
        """A form that posts the request by itself; without scripts, the button does."""
        inputs = "\n".join(
            f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in fields
        )
        return self._page(
            "leaving",
            f'<form action="{escape(action)}" method="post">\n{inputs}\n'
            f"<button>{self._escaped('continue')}</button>\n</form>\n<script>{_POST_NOW}</script>",
        )

    def signed_in_page(self, user: SignedInUser) -> str:
        """Who is signed in, and everything the token said."""
        facts = [
            ("user", user.upn),
            ("immutable_id", user.immutable_id),
            ("domain", user.domain),
            ("issuer", user.issuer),
            ("mfa", self.word("yes" if user.mfa else "no")),
            ("method", user.authentication_method),
            ("authenticated", iso_millis(user.authentication_instant)),
            ("issued", iso_millis(user.issue_instant)),
            ("valid_from", iso_millis(user.not_before)),
            ("valid_until", iso_millis(user.not_on_or_after)),
            ("signed_with", self.word(f"key_{user.key}")),
            ("assertion_id", user.assertion_id),
        ]
        claims = [(f"{namespace}/{name}", value) for (namespace, name), value in user.claims.items()]
        who = self._escaped("signed_in_as", upn="\0").replace("\0", f"<strong>{escape(user.upn)}</strong>")
        return self._page(
            "signed_in",
            f'<div class="account signed-in">{_chip(user.upn, who)}</div>\n'
            f'<a class="button" href="/signout?domain={escape(_quoted(user.domain))}">{self._escaped("sign_out")}</a>\n'
            f'<a class="button second" href="/">{self._escaped("again")}</a>\n'
            f"<details><summary>{self._escaped('token')}</summary>\n{self._facts(facts)}\n"
            f"<h2>{self._escaped('claims')}</h2>\n{_rows(claims)}</details>",
            icon=_TICK,
        )

    def error_page(self, error: EntraError, correlation_id: str, timestamp: str) -> str:
        """Entra's error page, with our detail for the developer."""
        facts = [
            ("error_code", str(error.code.value)),
            ("correlation", correlation_id),
            ("timestamp", timestamp),
        ]
        meaning = self._words["meaning"][str(error.code.value)]
        return self._page(
            "refused",
            f"<p>AADSTS{error.code.value}: {escape(meaning)}</p>\n<p>{escape(error.detail)}</p>\n"
            f'{self._facts(facts)}\n<a class="button" href="/">{self._escaped("again")}</a>',
            icon=_CROSS,
        )

    def plain_page(self, title: str, text: str, *, failed: bool) -> str:
        """A page that shows one sentence. `title`: its name in the catalogue."""
        return self._page(
            title,
            f'<p>{escape(text)}</p>\n<a class="button" href="/">{self._escaped("again")}</a>',
            icon=_CROSS if failed else _TICK,
        )

    def _page(self, title: str, body: str, *, icon: str = "") -> str:
        heading, product = self._escaped(title), self._escaped("product")
        return (
            f'<!doctype html>\n<html lang="{self._language}">\n<head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<title>{heading} - {product}</title><link rel="stylesheet" href="/style.css"></head>\n<body>\n'
            f'<p class="stand-in"><strong>{self._escaped("stand_in")}</strong></p>\n<main>\n'
            f'<p class="product">{_MARK}{product}</p>\n{icon}<h1>{heading}</h1>\n{body}\n</main>\n</body>\n</html>\n'
        )

    def _facts(self, facts: Iterable[tuple[str, str]]) -> str:
        return _rows((self.word(name), value) for name, value in facts)

    def _escaped(self, name: str, **values: str) -> str:
        return escape(self.word(name, **values))


def _rows(pairs: Iterable[tuple[str, str]]) -> str:
    rows = "\n".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs)
    return f"<dl>\n{rows}\n</dl>"


def _chip(upn: str, text: str = "") -> str:
    """The first letter in a circle, and the user name or some HTML instead of it."""
    initial = f'<span class="initials" aria-hidden="true">{escape(upn[:1].upper())}</span>'
    return f"{initial}<span>{text or escape(upn)}</span>"


def _quoted(text: str) -> str:
    return quote(text, safe="@")
