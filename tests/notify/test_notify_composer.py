"""The rules for mails: what is in them, what never is, in both languages and both forms."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from html.parser import HTMLParser
from typing import Any

import pytest
import segno

from services.notify.gateways.composer import TEMPLATES, TemplateComposer
from shared.contracts.notify import MAIL, CredentialMail, NoticeMail
from tests.notify.support import LINK, alerts, invitation, team_invitation, text_of

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
COMPOSER = TemplateComposer(sender="Blok365 <sign-in@contoso.example>", reply_to="help@contoso.example")
MARKUP = '<img src=x onerror="alert(1)">'


def notice(kind: str = "device_added", **fields: Any) -> NoticeMail:
    values = invitation().model_dump() | {"kind": kind, "device": "Ada's phone", "at": NOW}
    return NoticeMail.model_validate(values | fields)


def credential_ends(**fields: Any) -> CredentialMail:
    values = invitation().model_dump() | {
        "kind": "credential_ends",
        "directory": "contoso.onmicrosoft.com",
        "credential": "secret",
        "ends_at": NOW,
    }
    return CredentialMail.model_validate(values | fields)


MAKERS: dict[str, Callable[..., Any]] = {
    "invitation": invitation,
    "team_invitation": team_invitation,
    "device_added": notice,
    "device_removed": partial(notice, "device_removed"),
    "device_refused": partial(notice, "device_refused"),
    "former": partial(notice, former=True),
    "alerts": alerts,
    "credential_ends": credential_ends,
    "credential_over": partial(credential_ends, credential="certificate", over=True),
}
MAILS = [
    pytest.param(make(language=language), id=f"{kind}-{language}")
    for kind, make in MAKERS.items()
    for language in ("en", "fr")
]


@pytest.mark.parametrize("written", MAILS)
def test_every_mail_has_text_and_html_and_nothing_else(written: Any) -> None:
    mail = COMPOSER.compose(written, "d1", NOW)
    kinds = [part.get_content_type() for part in mail.walk()]
    assert kinds == ["multipart/alternative", "text/plain", "text/html"]
    assert not any(part.get_filename() or part["Content-Disposition"] for part in mail.walk())


@pytest.mark.parametrize("written", MAILS)
def test_every_mail_loads_nothing_and_follows_nobody(written: Any) -> None:
    html = text_of(COMPOSER.compose(written, "d1", NOW), "html")
    assert not re.search(r"<(img|script|iframe|link|object|form|input)|url\(|@import|javascript:|data:", html)
    links = re.findall(r'(?:href|src|action|background)="([^"]*)"', html)
    assert set(links) <= {LINK}


@pytest.mark.parametrize("written", MAILS)
def test_every_mail_says_that_we_never_ask_for_pin_or_code(written: Any) -> None:
    mail = COMPOSER.compose(written, "d1", NOW)
    never = {
        "en": "We never ask for your PIN or a sign-in code",
        "fr": "Nous ne demandons jamais votre code PIN",
    }
    for kind in ("plain", "html"):
        assert never[written.language] in text_of(mail, kind)


@pytest.mark.parametrize("written", MAILS)
def test_headers_let_people_answer_and_machines_not(written: Any) -> None:
    mail = COMPOSER.compose(written, "d1", NOW)
    assert mail["From"] == "Blok365 <sign-in@contoso.example>"
    assert mail["Reply-To"] == "help@contoso.example"
    assert mail["Message-ID"] == "<d1@contoso.example>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"].datetime == NOW
    assert [a.addr_spec for a in mail["To"].addresses] == ["ada@private.example"]
    assert mail["Bcc"] is None


@pytest.mark.parametrize("language", ["en", "fr"])
def test_an_invitation_says_who_why_where_until_when_and_how_to_check(language: str) -> None:
    mail = COMPOSER.compose(invitation(language=language, invited_by="Grace Hopper"), "d1", NOW)
    for kind in ("plain", "html"):
        text = text_of(mail, kind)
        until = {"en": "3 March 2026, 08:00 UTC", "fr": "03/03/2026 à 08:00 UTC"}[language]
        for said in (
            "Grace Hopper",
            "Contoso",
            "ada@contoso.example",
            LINK,
            until,
            "http://key.id.localhost:8365/",
        ):
            assert said in text


@pytest.mark.parametrize("language", ["en", "fr"])
def test_an_alert_counts_everything_and_names_what_it_has_room_for(language: str) -> None:
    mail = COMPOSER.compose(alerts(language=language, not_me=12, more=True), "d1", NOW)
    for kind in ("plain", "html"):
        text = text_of(mail, kind).replace("&#39;", "'")
        assert "12" in text
        assert "ada@contoso.example" in text
        assert "Firefox on Windows" in text
        assert {"en": "And 12 more.", "fr": "Et 12 autres."}[language] in text
        assert LINK in text
    assert "Its invitation had already been used" in text_of(COMPOSER.compose(alerts(), "d1", NOW), "plain")


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_mail_about_the_end_of_a_secret_says_when_what_it_costs_and_where_to_renew_it(
    language: str,
) -> None:
    mail = COMPOSER.compose(credential_ends(language=language), "d1", NOW)
    day, cost = {
        "en": ("2 March 2026", "are no longer created in Entra"),
        "fr": ("02/03/2026", "ne seront plus créées dans Entra"),
    }[language]
    for kind in ("plain", "html"):
        text = text_of(mail, kind)
        for said in ("contoso.onmicrosoft.com", day, cost, LINK):
            assert said in text
    over = text_of(COMPOSER.compose(credential_ends(over=True), "d1", NOW), "plain")
    assert "expired on 2 March 2026" in over


def test_markup_in_an_alert_stays_text() -> None:
    html = text_of(COMPOSER.compose(alerts(detail=MARKUP), "d1", NOW), "html")
    assert "<img" not in html


def test_without_a_name_an_administrator_of_the_organisation_invites() -> None:
    assert "An administrator of Contoso has invited you" in text_of(
        COMPOSER.compose(invitation(), "d1", NOW), "plain"
    )


def test_the_address_stands_alone_on_its_line() -> None:
    assert LINK in text_of(COMPOSER.compose(invitation(), "d1", NOW), "plain").splitlines()


def test_somebody_who_had_a_phone_is_warned_of_another() -> None:
    text = text_of(COMPOSER.compose(invitation(another_phone=True), "d1", NOW), "plain")
    assert "If nobody has spoken to you about it, tell your administrator at once." in text


def test_the_notice_of_a_new_phone_names_it_and_holds_no_link() -> None:
    mail = COMPOSER.compose(notice(), "d1", NOW)
    for kind in ("plain", "html"):
        text = text_of(mail, kind).replace("&#39;", "'")
        assert "Ada's phone" in text
        assert "2 March 2026, 08:00 UTC" in text
        assert "http" not in text


@pytest.mark.parametrize("field", ["name", "organisation", "invited_by", "upn", "link"])
def test_markup_in_what_others_wrote_stays_text(field: str) -> None:
    value = LINK + '"><script>' if field == "link" else MARKUP
    html = text_of(COMPOSER.compose(invitation(**{field: value}), "d1", NOW), "html")
    assert "<img" not in html
    assert "<script" not in html


def test_what_looks_like_a_template_is_not_one() -> None:
    text = text_of(COMPOSER.compose(invitation(name="{{ mail.to }} {upn}"), "d1", NOW), "plain")
    assert "Hello {{ mail.to }} {upn}," in text


def test_names_of_all_scripts_arrive() -> None:
    for name in ("Zoë Müller", "李小龍", "محمد", "Иван", 'O\'Brien, "Bob" <x>', "क्\u200dष"):
        mail = COMPOSER.compose(invitation(name=name), "d1", NOW)
        assert mail["To"].addresses[0].display_name == name
        assert mail["To"].addresses[0].addr_spec == "ada@private.example"
        assert mail.as_bytes().isascii()


def test_no_line_is_longer_than_a_mail_server_takes() -> None:
    octets = COMPOSER.compose(invitation(), "d1", NOW).as_bytes()
    assert max(map(len, octets.split(b"\n"))) <= 998  # RFC 5322 section 2.1.1


def test_the_mail_stays_below_what_mail_programs_cut_off() -> None:
    longest = invitation(link="http://key.id.localhost:8365/#i=" + "A" * 200)
    assert len(COMPOSER.compose(longest, "d1", NOW).as_bytes()) < 100_000


class _Cells(HTMLParser):
    """The innermost table as a matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = False
        self.rows: list[list[bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        fields = dict(attrs)
        if tag == "table" and fields.get("role") == "img":
            self.inside = True
        elif self.inside and tag == "tr":
            self.rows.append([])
        elif self.inside and tag == "td":
            self.rows[-1] += [fields.get("bgcolor") == "#000000"] * int(fields.get("colspan") or 1)

    def handle_endtag(self, tag: str) -> None:
        if tag == "table":
            self.inside = False


def test_the_qr_code_is_exactly_the_address_with_its_margin() -> None:
    cells = _Cells()
    cells.feed(text_of(COMPOSER.compose(invitation(), "d1", NOW), "html"))
    expected = [[bool(cell) for cell in row] for row in segno.make(LINK, error="m").matrix_iter(border=4)]
    assert cells.rows[0] == [False] * len(expected)  # sets the columns' widths
    assert cells.rows[1:] == expected


def test_both_languages_have_the_same_words_and_the_same_places_in_them() -> None:
    texts = [json.loads((TEMPLATES / f"{language}.json").read_text()) for language in ("en", "fr")]
    assert texts[0].keys() == texts[1].keys()
    for key in texts[0].keys() - {"moment"}:
        places = [sorted(re.findall(r"\{(\w+)\}", words[key])) for words in texts]
        assert places[0] == places[1], key


@pytest.mark.parametrize(
    "wire",
    [
        '{"kind":"invitation","to":"a@b.example","name":"A","language":"en","organisation":"C","invited_by":"",'
        '"upn":"a@c.example","link":"http://key.id.localhost:8365/#i=x.y","expires_at":"2026-03-03T08:00:00Z",'
        '"another_phone":false}',
        '{"kind":"device_added","to":"a@b.example","name":"A","language":"fr","organisation":"C",'
        '"upn":"a@c.example","device":"P","added_at":"2026-03-03T08:00:00Z","a_newer_field":1}',
    ],
)
def test_mails_that_were_once_sealed_can_always_be_read(wire: str) -> None:
    """They cross the bus inside a sealed box, where the golden messages cannot see them."""
    read = json.loads(MAIL.validate_json(wire).model_dump_json())
    written = {("at" if k == "added_at" else k): v for k, v in json.loads(wire).items()}
    assert {k: read[k] for k in written if k != "a_newer_field"} == {
        k: v for k, v in written.items() if k != "a_newer_field"
    }
