"""provisioning's own settings, `BLOK365_PROVISIONING_*`."""

from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

LOOPBACK = ("localhost", "127.0.0.1", "::1")


class ProvisioningSettings(BaseSettings):
    """Where Microsoft's services are, and how much is asked of them at once."""

    model_config = SettingsConfigDict(env_prefix="BLOK365_PROVISIONING_", extra="forbid", frozen=True)

    graph_url: str = ""
    """Origin of Microsoft Graph, with another path before `/v1.0` if there is one. Empty: that of the tenant's cloud. A
    stand-in's may be http on this machine."""
    authority_url: str = ""
    """Origin of Entra's token endpoints. Empty: that of the tenant's cloud."""
    people_at_once: int = Field(default=60, ge=1, le=500)
    """People of one tenant that are worked on at the same time, at most; fewer while Microsoft asks to slow down."""
    answer_seconds: float = Field(default=40, ge=1, le=300)
    """How long Microsoft has for one answer. A job whose process is killed is taken up again after three times as
    long."""

    @field_validator("graph_url", "authority_url")
    @classmethod
    def _is_base(cls, value: str) -> str:
        return check_base(value) if value else value


def check_base(url: str) -> str:
    """A base URL without a slash at its end: https, or http to this machine alone. Raises ValueError.

    Tokens and secrets go there, so nothing else is taken: no user info, no query, no fragment.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError("a base URL is https://host")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise ValueError("http is only for a stand-in on this machine")
    if parts.username or parts.password or parts.query or parts.fragment or "?" in url or "#" in url:
        raise ValueError("a base URL has no user, query or fragment")
    return url.rstrip("/")
