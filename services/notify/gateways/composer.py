"""Composes mails, in each language, from the templates in `templates/`.

An invitation says who invites, why, until when, and shows the whole address that it leads to. No mail has an
attachment, a tracker or a picture from elsewhere.

The QR code is a table of coloured cells, because mail programs drop inline SVG and `data:` pictures, and a picture
that is sent along is an attachment. All programs show a table without asking. The code holds exactly the address
that is printed beneath it. Its blue frame and title keep people from taking it for a sign-in code.
"""

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

from shared.contracts.notify import (
    AlertLine,
    AlertsMail,
    AnyMail,
    CredentialMail,
    InvitationMail,
    NoticeMail,
    TeamInvitationMail,
)
from shared.web.i18n import Catalogue, load

TEMPLATES = Path(__file__).parent.parent / "templates"
MODULE = 5
"""Pixels for each module of the QR code."""
MARGIN = 4
"""Modules of white around the code (ISO/IEC 18004, section 5.3.8)."""


class TemplateComposer:
    """Implements `ports.Composer`. `sender`, `reply_to`: `Name <address>`."""

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

    def compose(self, mail: AnyMail, delivery: str, now: datetime) -> EmailMessage:
        words = self._catalogues[mail.language]
        values: dict[str, Any] = {"t": words, "mail": mail, "language": mail.language}
        if isinstance(mail, InvitationMail):
            values["inviter"] = mail.invited_by or words("somebody", organisation=mail.organisation)
            values["until"] = _moment(mail.expires_at, words("moment"))
            values |= {"qr": qr_rows(mail.link), "module": MODULE}
        elif isinstance(mail, TeamInvitationMail):
            values["until"] = _moment(mail.expires_at, words("moment"))
        elif isinstance(mail, AlertsMail):
            values["lines"] = [_alert(line, words) for line in mail.lines]
            values["counts"] = [
                words(f"alerts_{kind}_one" if number == 1 else f"alerts_{kind}_many", count=number)
                for kind, number in (("not_me", mail.not_me), ("device_refused", mail.device_refused))
                if number
            ]
            values["unnamed"] = mail.not_me + mail.device_refused - len(mail.lines)
        elif isinstance(mail, CredentialMail):
            values["ends"] = _moment(mail.ends_at, words("day"))
            values["state"] = "over" if mail.over else "soon"
        else:
            values["at"] = _moment(mail.at, words("moment"))
        local, _, domain = mail.to.rpartition("@")
        message = EmailMessage(policy=SMTP if local.isascii() else SMTPUTF8)  # RFC 6532
        message["From"] = self._sender
        message["To"] = Address(display_name=mail.name, username=local, domain=domain)
        if self._reply_to is not None:
            message["Reply-To"] = self._reply_to
        message["Subject"] = words(f"{mail.kind}_subject", organisation=mail.organisation)
        message["Date"] = format_datetime(now)
        message["Message-ID"] = f"<{delivery}@{self._sender.domain}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
        message["Content-Language"] = mail.language
        template = "notice" if isinstance(mail, NoticeMail) else mail.kind
        message.set_content(self._render(f"{template}.txt", values))
        message.add_alternative(self._render(f"{template}.html", values), subtype="html")
        return message

    def _render(self, template: str, values: dict[str, Any]) -> str:
        return self._environment.get_template(template).render(values)


def _alert(line: AlertLine, words: Catalogue) -> str:
    """One thing to look at, in a sentence."""
    at = _moment(line.at, words("moment"))
    detail = line.detail or words("alerts_no_name")
    text = words(f"alerts_line_{line.kind}", upn=line.upn, detail=detail, at=at)
    reason = f"alerts_reason_{line.reason}"
    return f"{text} {words(reason)}" if line.reason and words.has(reason) else text


def _address(text: str) -> Address:
    name, spec = parseaddr(text)
    return Address(display_name=name, addr_spec=spec)


def _moment(moment: datetime, form: str) -> str:
    """A time with its zone. It is UTC, because the reader's zone is not known."""
    return f"{moment:{form}}"


def qr_rows(text: str) -> list[list[tuple[int, bool]]]:
    """The QR code of `text` with its margin, by rows; in each row the runs of one colour: modules, dark or not."""
    rows = segno.make(text, error="m", micro=False).matrix_iter(border=MARGIN)
    return [[(len(list(run)), dark) for dark, run in groupby(map(bool, row))] for row in rows]
