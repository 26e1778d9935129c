"""Settings that every service shares. Each service adds its own in its config.py; all come from `BLOK365_*`.

Secrets are never values in the environment: they are paths of files. `docs/settings.md` is generated from these.
A setting that holds a password (`mongo_url`, `bus_url`) may be a file of its name, `blok365_mongo_url`, in the folder
that `BLOK365_SECRETS` names; the environment goes first.
"""

import os
import re
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from shared.web.paths import Origins, check_origin, check_signin_host

_FIELD = re.compile(r'field "(\w+)"')


class Settings(BaseSettings):
    """What a process needs to know wherever it runs."""

    model_config = SettingsConfigDict(
        env_prefix="BLOK365_",
        extra="forbid",
        frozen=True,
        secrets_dir=os.environ.get("BLOK365_SECRETS"),
    )

    origin: str = "http://id.localhost:8365"
    """Origin of the sign-in host. Its host is the WebAuthn RP ID: fixed for life for all tenants. The phone's origin is
    the same with `key.` before the host."""
    console_origin: str = "http://console.localhost:8365"
    """Origin of the administrators' console."""
    kiosk_origin: str = "http://kiosk.localhost:8365"
    """Origin of the badge kiosks."""
    native_origins: tuple[str, ...] = ()
    """Origins of native apps (`android:apk-key-hash:...`) that approvals may come from beside the phone's page.
    approval accepts approvals from them, and wsfed, which verifies them again, needs the same list."""
    mongo_url: str = "mongodb://127.0.0.1:27017/?replicaSet=rs0&directConnection=true"
    """MongoDB replica set, with credentials if it asks for them."""
    bus_url: str = "memory:"
    """`amqp://user:password@host/vhost`, or `memory:` when all services share one process."""
    database_prefix: str = Field(default="blok365", pattern=r"^[a-z0-9_]{1,40}$")
    """Each service keeps its data in the database `<prefix>_<service>`."""
    keys: Path = Path("var/keys")
    """Folder with this service's `<service>.key`, everyone's `trusted.json`, and `<service>.seal`."""
    listen: str = "127.0.0.1:0"
    """Address and port of this process's HTTP server."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks (CIDR) of proxies whose X-Forwarded-For entry is believed, and only the one they added."""
    own_networks: tuple[str, ...] = ()
    """Networks (CIDR) of your own in which browsers and phones are. No limit of requests holds for them, and private
    addresses in them count as a client's; any other private address is \"unknown\", and on nobody's network."""
    requests_per_minute: int = Field(default=1200, ge=0)
    """Requests that each process takes in a minute from one network of clients (/24, or /48 of IPv6); 0: any number."""
    places_file: Path | None = None
    """City or Country database in MaxMind's format (.mmdb): where browsers and phones seem to be. Each process of
    wsfed and approval holds it in memory, and takes a newer one within a minute. Empty: addresses alone."""
    projection_max_age: int = Field(default=300, ge=30)
    """Seconds since the last complete pull from an owner of state began, after which nothing that it owns counts."""
    log_json: bool = True
    """Whether log lines are JSON; otherwise they are laid out for people."""

    @field_validator("places_file", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("listen")
    @classmethod
    def _has_port(cls, value: str) -> str:
        port = value.rpartition(":")[2]
        if not (port.isascii() and port.isdigit()):
            raise ValueError("an address to listen on is host:port")
        return value

    @field_validator("origin", "console_origin", "kiosk_origin")
    @classmethod
    def _is_origin(cls, value: str) -> str:
        check_origin(value)
        return value

    @field_validator("origin")
    @classmethod
    def _is_signin_origin(cls, value: str) -> str:
        check_signin_host(check_origin(value))
        return value

    @field_validator("native_origins")
    @classmethod
    def _are_no_pages(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if pages := [origin for origin in value if urlsplit(origin).scheme in ("http", "https", "")]:
            raise ValueError(
                f"an origin of a native app is such as android:apk-key-hash:..., and not {pages[0]!r}"
            )
        return value

    @model_validator(mode="after")
    def _hosts_are_apart(self) -> Self:
        Origins(self.origin, self.console_origin, self.kiosk_origin)
        return self

    @property
    def origins(self) -> Origins:
        """The origins of all hosts."""
        return Origins(self.origin, self.console_origin, self.kiosk_origin)

    @property
    def approval_origins(self) -> tuple[str, ...]:
        """Where approvals may come from: the phone's page and native apps, never the sign-in page."""
        return (self.origins.phone, *self.native_origins)

    @property
    def rp_id(self) -> str:
        """The WebAuthn RP ID: the host of `origin`."""
        host = urlsplit(self.origin).hostname
        assert host is not None
        return host


def invalid_settings(error: ValidationError | SettingsError) -> str:
    """What is wrong with the settings that `error` is about, by the names of their variables, on one line."""
    if isinstance(error, SettingsError):  # the variable of a list, before anything could be validated
        field = _FIELD.search(str(error))
        variable = f"the variable for {field[1].upper()}" if field else "a variable"
        return f'{variable} holds no list; one is written as JSON, such as ["10.0.0.1", "10.0.0.2"]'
    service = error.title.removesuffix("Settings").upper()
    prefix = f"BLOK365_{service}_" if service else "BLOK365_"
    named = [
        (f"{prefix}{'_'.join(map(str, fault['loc'])).upper()}", fault["msg"].removeprefix("Value error, "))
        for fault in error.errors()
    ]
    # What is wrong with several settings together has the name of none.
    return "; ".join(f"{name.removesuffix('_')}: {message}" for name, message in named)
