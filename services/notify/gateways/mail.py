"""Where mails go: to a mail server by SMTP, or into a folder."""

import asyncio
import contextlib
import ssl
from copy import deepcopy
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib
from aiosmtplib import errors

from services.notify.config import NotifySettings
from services.notify.domain.delivery import Failed, Later, Outcome, Sent
from shared.clock import Clock
from shared.files import replace_file

TIMEOUT = 20.0
"""Seconds for each step of the SMTP dialogue."""
WHOLE = 45.0
"""Seconds for the whole dialogue: less than the lease of an attempt."""
GOODBYE = 2.0
"""Seconds for QUIT, when the mail has been accepted."""


class SmtpMailer:
    """Implements `ports.Mailer`. Each mail has its own connection, so a server that hangs up spoils only one."""

    def __init__(self, settings: NotifySettings) -> None:
        self._settings = settings

    async def send(self, message: EmailMessage) -> Outcome:
        try:
            async with asyncio.timeout(WHOLE):
                await self._send(message)
        except errors.SMTPRecipientsRefused as error:
            return _by_code("RCPT", min(each.code for each in error.recipients))
        except (errors.SMTPAuthenticationError, errors.SMTPSenderRefused) as error:
            return Later(f"our own settings are refused: {error.code}")  # another mail would fare the same
        except errors.SMTPNotSupported:
            return Failed("the server lacks what this address needs")
        except errors.SMTPResponseException as error:
            return _by_code("SMTP", error.code)
        except (errors.SMTPException, TimeoutError, OSError) as error:
            return Later(type(error).__name__)
        return Sent()

    async def _send(self, message: EmailMessage) -> None:
        settings = self._settings
        password = None
        if settings.smtp_password_file is not None:
            password = (await asyncio.to_thread(settings.smtp_password_file.read_text)).strip()
        tls = None
        if settings.smtp_security != "none":
            tls = await asyncio.to_thread(ssl.create_default_context, cafile=settings.smtp_ca_file)
        client = aiosmtplib.SMTP(
            hostname=settings.smtp_host,
            port=settings.smtp_port,
            username=settings.smtp_user or None,
            password=password,
            use_tls=settings.smtp_security == "tls",
            start_tls=settings.smtp_security == "starttls",
            tls_context=tls,
            timeout=TIMEOUT,
            local_hostname="blok365",
        )
        try:
            await client.connect()
            await client.send_message(message)
            # The server has accepted the mail: a fault from here on must not lead to another attempt.
            with contextlib.suppress(errors.SMTPException, TimeoutError, OSError):
                async with asyncio.timeout(GOODBYE):
                    await client.quit()
        finally:
            client.close()  # without QUIT, which would wait for a server that no longer answers


def _by_code(step: str, code: int) -> Outcome:
    """RFC 5321 section 4.2.1: 4yz may succeed later, 5yz never."""
    return Failed(f"{step} {code}") if 500 <= code < 600 else Later(f"{step} {code}")


class FolderMailer:
    """Implements `ports.Mailer`: one .eml file for each mail, readable by its owner only.

    Its texts are written as they are (8bit, RFC 2045 section 6.2), not as quoted-printable, which would break a link
    over two lines and write `=3D` for its `=`: somebody copies the link from the file with an editor.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock

    async def send(self, message: EmailMessage) -> Outcome:
        name = str(message["Message-ID"]).strip("<>").partition("@")[0]
        path = self._folder / f"{self._clock.now():%Y%m%dT%H%M%S}-{name}.eml"
        try:
            await asyncio.to_thread(_write, path, _as_is(message).as_bytes())
        except OSError as error:
            return Later(type(error).__name__)
        return Sent()


def _as_is(message: EmailMessage) -> EmailMessage:
    """The mail with its texts neither folded nor encoded."""
    readable = deepcopy(message)
    for part in readable.walk():
        if isinstance(part, EmailMessage) and part.get_content_maintype() == "text":
            part.set_content(part.get_content(), subtype=part.get_content_subtype(), cte="8bit")
    return readable


def _write(path: Path, octets: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    replace_file(path, octets)
