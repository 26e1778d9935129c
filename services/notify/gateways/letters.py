"""The words of mails and pushes, in each language. Guide: who invited, why, the whole address in sight, until
when; no attachment, no tracking, no picture from elsewhere.

The QR code is a table of coloured cells. Mail programs drop inline SVG and `data:` pictures, and a picture that
comes along is an attachment; a table is shown by all of them, without asking for pictures. It holds exactly the
address printed beneath it, in a blue frame with a title, so that it looks unlike a sign-in code.
"""

import json
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime, parseaddr
from itertools import groupby
from pathlib import Path
from typing import Any

import segno
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from shared.contracts.notify import DeviceAddedLetter, InvitationLetter
from shared.web.i18n import DEFAULT, load

TEMPLATES = Path(__file__).parent.parent / "templates"
MODULE = 5
"""Pixels a QR module."""
MARGIN = 4
"""Modules of white around it (ISO/IEC 18004, section 5.3.8)."""


class WrittenLetters:
    """Implements `ports.Letters`. `sender`, `reply_to`: `Name <address>`."""

    def __init__(self, *, sender: str, reply_to: str, folder: Path = TEMPLATES) -> None:
        self._sender = _address(sender)
        self._reply_to = _address(reply_to) if reply_to else None
        self._catalogues = load([folder])
        self._environment = Environment(
            loader=FileSystemLoader(folder),
            autoescape=select_autoescape(["html"], default=False),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )

    def compose(
        self, letter: InvitationLetter | DeviceAddedLetter, delivery: str, now: datetime
    ) -> EmailMessage:
        words = self._catalogues[letter.language]
        values: dict[str, Any] = {"t": words, "letter": letter, "language": letter.language}
        if isinstance(letter, InvitationLetter):
            values["inviter"] = letter.invited_by or words("somebody", organisation=letter.organisation)
            values["until"] = _moment(letter.expires_at, words("moment"))
            values |= {"qr": qr_rows(letter.link), "module": MODULE}
        else:
            values["added"] = _moment(letter.added_at, words("moment"))
        local, _, domain = letter.to.rpartition("@")
        mail = EmailMessage(policy=SMTP if local.isascii() else SMTPUTF8)  # RFC 6532
        mail["From"] = self._sender
        mail["To"] = Address(display_name=letter.name, username=local, domain=domain)
        if self._reply_to is not None:
            mail["Reply-To"] = self._reply_to
        mail["Subject"] = words(f"{letter.kind}_subject", organisation=letter.organisation)
        mail["Date"] = format_datetime(now)
        mail["Message-ID"] = f"<{delivery}@{self._sender.domain}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
        mail["Content-Language"] = letter.language
        mail.set_content(self._render(f"{letter.kind}.txt", values))
        mail.add_alternative(self._render(f"{letter.kind}.html", values), subtype="html")
        return mail

    def _render(self, template: str, values: dict[str, Any]) -> str:
        return self._environment.get_template(template).render(values)

    def push_text(self, language: str) -> bytes:
        words = self._catalogues.get(language, self._catalogues[DEFAULT])
        said = {
            "v": 1,
            "kind": "request",
            "title": "Blok365",
            "body": words("push_body"),
            "lang": words.language,
        }
        return json.dumps(said, ensure_ascii=False).encode()


def _address(text: str) -> Address:
    name, spec = parseaddr(text)
    return Address(display_name=name, addr_spec=spec)


def _moment(moment: datetime, form: str) -> str:
    """With its time zone: UTC, because nothing tells us the reader's."""
    return f"{moment:{form}}"


def qr_rows(text: str) -> list[list[tuple[int, bool]]]:
    """The QR code of `text` with its margin, by rows; in each row the runs of one colour: modules, dark or not."""
    rows = segno.make(text, error="m", micro=False).matrix_iter(border=MARGIN)
    return [[(len(list(run)), dark) for dark, run in groupby(map(bool, row))] for row in rows]
