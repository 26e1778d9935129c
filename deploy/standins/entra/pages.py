"""The few pages, as plain HTML. Nothing here is styled, and only the auto-posting form has one line of script."""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from html import escape

from deploy.standins.entra.errors import EntraError
from deploy.standins.entra.verify import SignedInUser
from shared.clock import iso_millis

NAME = "Microsoft 365 (stand-in)"

_POST_NOW = "document.forms[0].submit()"


def policy(page_posts_itself: bool = False) -> str:
    """The Content-Security-Policy: no scripts, but for the one line of the auto-posting form, by its hash."""
    digest = base64.b64encode(hashlib.sha256(_POST_NOW.encode()).digest()).decode()
    scripts = f"; script-src 'sha256-{digest}'" if page_posts_itself else ""
    return f"default-src 'none'{scripts}; frame-ancestors 'none'; base-uri 'none'"


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title if title == NAME else f'{title} - {NAME}')}</title></head>\n<body>\n"
        "<p><strong>This is a stand-in for tests. It is not Microsoft, "
        "and nobody should type a password here.</strong></p>\n"
        f"<h1>{escape(title)}</h1>\n{body}\n</body>\n</html>\n"
    )


def _rows(pairs: Iterable[tuple[str, str]]) -> str:
    rows = "\n".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in pairs
    )
    return f"<table>\n{rows}\n</table>"


def start_page(variants: Iterable[str], sign_outs: Iterable[str]) -> str:
    """The user name field, the shapes of requests to choose from, and where to sign out."""
    options = "".join(f"<option>{escape(name)}</option>" for name in variants)
    links = "".join(
        f'<li><a href="/signout?domain={escape(domain)}">Sign out of {escape(domain)}</a></li>'
        for domain in sign_outs
    )
    return _page(
        NAME,
        '<form action="/start" method="get">\n'
        '<p><label>User name <input name="username" type="email" autocomplete="off" required autofocus></label></p>\n'
        f'<p><label>Shape of the request <select name="variant">{options}</select></label></p>\n'
        '<p><button name="method" value="get">Next</button> '
        '<button name="method" value="post">Next, by POST</button></p>\n'
        f"</form>\n<ul>{links}</ul>",
    )


def post_page(action: str, fields: Sequence[tuple[str, str]]) -> str:
    """A form that posts the request by itself; without scripts, the button does."""
    inputs = "\n".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in fields
    )
    return _page(
        "Taking you to your organisation's sign-in page",
        f'<form action="{escape(action)}" method="post">\n{inputs}\n<button>Continue</button>\n</form>\n'
        f"<script>{_POST_NOW}</script>",
    )


def signed_in_page(user: SignedInUser) -> str:
    """Who is signed in, and everything the token said."""
    facts = [
        ("User", user.upn),
        ("ImmutableID", user.immutable_id),
        ("Federated domain", user.domain),
        ("Issuer", user.issuer),
        ("MFA", "yes" if user.mfa else "no"),
        ("Authentication method", user.authentication_method),
        ("Authenticated at", iso_millis(user.authentication_instant)),
        ("Issued at", iso_millis(user.issue_instant)),
        ("Valid from", iso_millis(user.not_before)),
        ("Valid until", iso_millis(user.not_on_or_after)),
        ("Signed with", f"the {user.key} certificate"),
        ("AssertionID", user.assertion_id),
    ]
    claims = [(f"{namespace}/{name}", value) for (namespace, name), value in user.claims.items()]
    return _page(
        "You are signed in",
        f"<p>Signed in as <strong>{escape(user.upn)}</strong>.</p>\n{_rows(facts)}\n"
        f"<h2>Claims in the token</h2>\n{_rows(claims)}\n"
        f'<p><a href="/">Start again</a> <a href="/signout?domain={escape(user.domain)}">Sign out</a></p>',
    )


def error_page(error: EntraError, correlation_id: str, timestamp: str) -> str:
    """Entra's error page, with our detail for the developer."""
    facts = [
        ("Error code", str(error.code.value)),
        ("Correlation Id", correlation_id),
        ("Timestamp", timestamp),
    ]
    return _page(
        "You can't sign in here",
        f'<p>{escape(error.message)}</p>\n{_rows(facts)}\n<p><a href="/">Start again</a></p>',
    )


def plain_page(title: str, text: str) -> str:
    """A page that shows one sentence."""
    return _page(title, f'<p>{escape(text)}</p>\n<p><a href="/">Start again</a></p>')
