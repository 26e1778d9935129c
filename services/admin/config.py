"""admin's own settings, `BLOK365_ADMIN_*`."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class AdminSettings(BaseSettings):
    """How long invitations are good for, and the language of mails."""

    model_config = SettingsConfigDict(env_prefix="BLOK365_ADMIN_", extra="forbid", frozen=True)

    invitation_hours: int = Field(default=24, ge=1, le=24)
    """Hours that the first invitation of an account is good for; 24 at most."""
    rebinding_minutes: int = Field(default=10, ge=1, le=60)
    """Minutes that an invitation is good for when the account was active before (a lost phone)."""
    mail_language: Literal["en", "fr"] = "en"
    """Language of the mails to people."""
