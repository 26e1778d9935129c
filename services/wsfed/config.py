"""wsfed's own settings, `BLOK365_WSFED_*`; what all services share is in `shared.settings`."""

from dataclasses import replace

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.clouds import CLOUDS, Cloud, CloudName


class WsFedSettings(BaseSettings):
    """Where tokens may go, and whose signatures count."""

    model_config = SettingsConfigDict(env_prefix="BLOK365_WSFED_", extra="forbid", frozen=True)

    reply_urls: tuple[str, ...] = ()
    """Where tokens may go in place of the reply URLs of the tenant's cloud: for stand-ins of Entra. The first is the
    default.
    """
    start_url: str = ""
    """Where a finished, expired or lost sign-in sends the person, in place of the start page of the tenant's cloud."""
    trust_without_decision: bool = False
    """For an update from a release in which admin did not decide on phones yet: those that counted then go on counting
    until `blok365 migrate` is through. New ones need admin's decision all the same. Turn it off afterwards.
    """
    max_streams: int = Field(default=1000, ge=1)
    """Pages that each process tells of news at once; further ones ask every few seconds. Each is an open connection."""

    def cloud(self, name: CloudName = "worldwide") -> Cloud:
        """That cloud of Microsoft's, with the addresses that this deployment has in its place."""
        cloud = CLOUDS[name]
        return replace(
            cloud,
            reply_urls=self.reply_urls or cloud.reply_urls,
            start_url=self.start_url or cloud.start_url,
        )
