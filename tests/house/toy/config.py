"""The toy's own settings, `BLOK365_TOY_*`."""

from pydantic_settings import BaseSettings, SettingsConfigDict


class ToySettings(BaseSettings):
    """How coins fall."""

    model_config = SettingsConfigDict(env_prefix="BLOK365_TOY_", extra="forbid", frozen=True)

    always_heads: bool = False
    """Every coin shows heads."""
