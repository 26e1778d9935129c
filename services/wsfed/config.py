"""wsfed's own settings, `BLOK365_WSFED_*`; what all services share is in `shared.settings`."""

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
    trust_without_word: bool = False
    """For an update from a release in which admin did not decide on phones yet: those that counted then go on counting
    until `blok365 migrate` is through. New ones need admin's decision all the same. Turn it off afterwards.
    """
