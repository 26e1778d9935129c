"""wsfed's own settings, `BLOK365_WSFED_*`; what all services share is in `shared.settings`."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

MICROSOFT_REPLY_URLS = (
    "https://login.microsoftonline.com/login.srf",
    "https://ccs.login.microsoftonline.com/ccs/login.srf",
    "https://ccs-sdf.login.microsoftonline.com/ccs/login.srf",
    "https://stamp2.login.microsoftonline.com/login.srf",
)


class WsFedSettings(BaseSettings):
    """Where tokens may go, and whose signatures count."""

    model_config = SettingsConfigDict(
        env_prefix="BLOK365_WSFED_", extra="forbid", frozen=True, use_attribute_docstrings=True
    )

    reply_urls: tuple[str, ...] = MICROSOFT_REPLY_URLS
    """Where tokens may go, compared whole; the first is the default. Locally the stand-in's address is added."""
    start_url: str = "https://m365.cloud.microsoft/"
    """Where a finished, expired or lost sign-in sends the person to begin again."""
    max_streams: int = Field(default=1000, ge=1)
    """Pages that each process tells of news at once; further ones ask every few seconds. Each is an open connection."""
