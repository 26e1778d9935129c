"""notify's own settings, `BLOK365_NOTIFY_*`."""

import re
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_HOST_PATTERN = re.compile(r"(\*\.)?([a-z0-9-]{1,63}\.)+[a-z][a-z0-9-]{0,62}")
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class NotifySettings(BaseSettings):
    """How mail is sent, and which push services are connected to."""

    model_config = SettingsConfigDict(env_prefix="BLOK365_NOTIFY_", extra="forbid", frozen=True)

    smtp_host: str = ""
    """Mail server; empty: mails are kept as files in `mail_folder`."""
    smtp_port: int = Field(default=587, ge=1, le=65535)
    """The mail server's port: 587 for submission with STARTTLS, 465 for TLS from the start."""
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    """`none` only to this machine: a mail carries an invitation link."""
    smtp_user: str = ""
    """User name; empty: no authentication."""
    smtp_password_file: Path | None = None
    """The file that holds the password."""
    smtp_ca_file: Path | None = None
    """Certificates (PEM) to trust instead of the system's."""
    sender: str = "Blok365 <blok365@localhost>"
    """The From address of every mail."""
    reply_to: str = ""
    """Where answers go, if not to the sender; somebody must read them."""
    mail_folder: Path = Path("var/mail")
    """Without a mail server: where mails land as .eml. They hold invitation links."""
    contact: str = Field(
        default="mailto:blok365@localhost", pattern=r"^(mailto:[^\s@]+@[^\s@]+|https://\S+)$"
    )
    """Whom a push service asks when something is wrong (RFC 8292); Apple refuses addresses on localhost."""
    push_hosts: tuple[str, ...] = (
        "fcm.googleapis.com",
        "*.push.apple.com",
        "updates.push.services.mozilla.com",
        "*.notify.windows.com",
    )
    """Push services: names, or `*.name` for all names below. Nothing else is ever connected to."""
    push_local: tuple[str, ...] = ()
    """`host:port` of stand-ins that may be reached over http and at private addresses. For tests only."""
    mails_at_once: int = Field(default=8, ge=1, le=100)
    """Mails under way at the same time; a quarter of them, at least one, to one domain."""
    pushes_at_once: int = Field(default=64, ge=1, le=1000)
    """Pushes under way at the same time; a quarter of them, at least one, to one host."""

    @field_validator("push_hosts")
    @classmethod
    def _are_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            if not _HOST_PATTERN.fullmatch(each):
                raise ValueError(f"{each!r} is not a host name or *.name in lower case")
        return value

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if self.smtp_security == "none" and self.smtp_host and self.smtp_host not in LOOPBACK:
            raise ValueError("smtp_security none is only for a server on this machine")
        if bool(self.smtp_user) is not (self.smtp_password_file is not None):
            raise ValueError("smtp_user and smtp_password_file go together")
        return self
