"""approval's own settings, `BLOK365_APPROVAL_*`; what all services share is in `shared.settings`."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ApprovalSettings(BaseSettings):
    """Which phones may answer, and how long their sessions last."""

    model_config = SettingsConfigDict(env_prefix="BLOK365_APPROVAL_", extra="forbid", frozen=True)

    session_hours: int = Field(default=12, ge=1, le=24)
    """Hours after which a phone's session ends, used or not."""
    session_idle_minutes: int = Field(default=60, ge=5, le=720)
    """Minutes after which an unused session ends."""
