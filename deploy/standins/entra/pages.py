"""The few pages, in English and French. Only the auto-posting form has a script, one line of it."""

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from deploy.standins.entra.domains import Change, Outcome
from deploy.standins.entra.errors import WORDS, EntraError
from deploy.standins.entra.settings import Federations, User
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

    def start_page(
        self, users: Iterable[User], variants: Iterable[str], sign_outs: Iterable[str], *, scripts: bool
    ) -> str:
        """Some users to choose from, the user name field, the shapes of requests, and where to sign out.

        `scripts`: whether there are domains that a script may federate.
        """
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
            f"{links}</details>\n</form>"
            + (
                f'\n<p class="aside"><a href="/powershell">{self._escaped("scripts")}</a></p>'
                if scripts
                else ""
            ),
        )

    def script_page(self, federations: Federations, refused: str = "") -> str:
        """The domains, and the form for a script. `refused`: why the last one was not taken, by its name."""
        rows = "".join(
            f"<li><strong>{escape(name)}</strong> <span>{self._state(federations, name)}</span></li>"
            for name in sorted({*federations.by_domain, *federations.managed})
        )
        problem = (
            f'<div class="problem" role="alert"><h2>{self._escaped("problem_summary")}</h2>'
            f'<p><a href="#file">{self._escaped(refused)}</a></p></div>\n'
            if refused
            else ""
        )
        return self._page(
            "scripts",
            f"{problem}<p>{self._escaped('scripts_what')}</p>\n"
            f'<ul class="domains">{rows}</ul>\n'
            '<form action="/powershell" method="post" enctype="multipart/form-data">\n'
            f'<label for="file">{self._escaped("script_file")}</label>\n'
            '<input id="file" name="file" type="file" accept=".ps1,text/plain">\n'
            f'<label for="script">{self._escaped("script_pasted")}</label>\n'
            '<textarea id="script" name="script" rows="6" spellcheck="false" autocomplete="off"></textarea>\n'
            f'<button class="second" name="what_if" value="1">{self._escaped("script_what_if")}</button>\n'
            f"<button>{self._escaped('script_run')}</button>\n"
            f'</form>\n<p class="aside"><a href="/">{self._escaped("home")}</a></p>',
            failed=bool(refused),
        )

    def outcome_page(self, outcome: Outcome) -> str:
        """How a script ended: its exit code, what it changed, and what the directory has now."""
        said = self._escaped(outcome.reason, domain=outcome.domain, issuer=outcome.issuer)
        said = said.replace("-WhatIf", '<span class="whole">-WhatIf</span>')
        changes = "".join(
            f"<dt>{escape(change.name)}</dt><dd>{self._change(change)}</dd>" for change in outcome.changes
        )
        heading = self._escaped("would_change" if outcome.reason == "run_what_if" else "read_back")
        again = "" if outcome.exit_code else self._next_steps(outcome)
        return self._page(
            "script_done" if outcome.exit_code == 0 else "script_failed",
            f"<p>{said}</p>\n<p>{self._escaped('exit_code', code=str(outcome.exit_code))}</p>\n{again}"
            f'<a class="button second" href="/powershell">{self._escaped("script_again")}</a>\n'
            + (
                f"<details open><summary>{heading}</summary>\n<dl>\n{changes}\n</dl></details>"
                if changes
                else ""
            ),
            icon=_TICK if outcome.exit_code == 0 else _CROSS,
        )

    def _state(self, federations: Federations, domain: str) -> str:
        found = federations.by_domain.get(domain)
        return self._escaped("state_managed") if found is None else self._escaped("state_federated")

    def _next_steps(self, outcome: Outcome) -> str:
        if outcome.federation is None or outcome.reason == "run_what_if":
            return ""
        return f'<a class="button" href="/">{self._escaped("sign_in_there")}</a>\n'

    def _change(self, change: Change) -> str:
        before = f"<del>{escape(change.before)}</del><br>" if change.before else ""
        return f"{before}{escape(change.after)}"

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

    def _page(self, title: str, body: str, *, icon: str = "", failed: bool = False) -> str:
        heading, product = self._escaped(title), self._escaped("product")
        name = self._escaped("error_title", title=self.word(title)) if failed else heading
        return (
            f'<!doctype html>\n<html lang="{self._language}">\n<head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<title>{name} - {product}</title><link rel="stylesheet" href="/style.css"></head>\n<body>\n'
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
