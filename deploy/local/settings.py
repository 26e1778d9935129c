"""Settings for one machine: everything on localhost, all state under one folder."""

import os
from collections.abc import Sequence
from pathlib import Path

from pydantic_settings import BaseSettings

from deploy.local.backing.port import free_port, why_not_free
from services.notify.config import NotifySettings
from services.provisioning.config import ProvisioningSettings
from services.wsfed.config import WsFedSettings
from shared.clouds import CLOUDS
from shared.errors import BadInput, Unavailable
from shared.settings import Settings

LOWEST_PORT = 1024
"""Below it only root may listen."""
HIGHEST_PORT = 65_535
LOOPBACK = ("127.0.0.0/8", "::1/128")
ENTRA_PORT_OFFSET = 1
"""The Entra stand-in of `make run` listens on the port after Blok365's."""
GRAPH_PORT_OFFSET = 2
"""The stand-in of Microsoft Graph on the one after that."""
_PORTS = {
    0: "Blok365",
    ENTRA_PORT_OFFSET: "the Entra stand-in",
    GRAPH_PORT_OFFSET: "the stand-in of Microsoft Graph",
}


def port_of(text: str) -> int:
    """The port that BLOK365_PORT or `--port` names; the two after it are the stand-ins'. Raises BadInput."""
    highest = HIGHEST_PORT - max(_PORTS)
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= highest):
        raise BadInput("local.port.unusable", text=repr(text[:20]), highest=highest)
    return int(text)


def check_ports(port: int) -> None:
    """Whether nobody listens on the ports yet: said before anything is started. Raises Unavailable."""
    for behind, whose in _PORTS.items():
        if reason := why_not_free(port + behind):
            raise Unavailable(
                "local.port.taken", port=port + behind, whose=whose, reason=reason, other=other_port(port)
            )


def other_port(port: int) -> int:
    """A port that `make run` could have instead: a hundred higher, or as many hundreds as it takes."""
    for candidate in range(max(port, LOWEST_PORT) + 100, HIGHEST_PORT - max(_PORTS), 100):
        if not any(why_not_free(candidate + behind) for behind in _PORTS):
            return candidate
    return free_port()


def local_settings(
    var: Path, port: int, mongo_url: str, *, bus_url: str = "memory:", database_prefix: str = "blok365"
) -> Settings:
    """Settings from the environment where it says something, otherwise local ones."""
    values: dict[str, object] = {
        "origin": f"http://id.localhost:{port}",
        "console_origin": f"http://console.localhost:{port}",
        "kiosk_origin": f"http://kiosk.localhost:{port}",
        "mongo_url": mongo_url,
        "bus_url": bus_url,
        "keys": var / "keys",
        "log_json": False,
        "own_networks": LOOPBACK,  # browser and phone are on this machine
        "database_prefix": database_prefix,
    }
    given = {name: value for name, value in values.items() if f"BLOK365_{name.upper()}" not in os.environ}
    return Settings.model_validate({**Settings().model_dump(), **given})


def notify_settings(settings: Settings, push_local: Sequence[str] = ()) -> NotifySettings:
    """The settings of notify from the environment; unless it says otherwise, mails land beside the keys' folder.

    `push_local`: `host:port` of push services on this machine, beside those of the environment.
    """
    given = NotifySettings()
    local: dict[str, object] = {"push_local": (*given.push_local, *push_local)}
    if "mail_folder" not in given.model_fields_set:
        local["mail_folder"] = settings.keys.parent / "mail"
    return given.model_copy(update=local)


def service_settings(
    settings: Settings, entra_port: int, graph: str = "", push_local: Sequence[str] = ()
) -> dict[str, BaseSettings]:
    """What services need to be told on one machine, by name; the others take theirs from the environment.

    `graph`: the stand-in of Microsoft's login and Graph that provisioning talks to. Empty: what the environment says.
    `push_local`: see `notify_settings`.
    """
    told: dict[str, BaseSettings] = {
        "wsfed": wsfed_settings(entra_port),
        "notify": notify_settings(settings, push_local),
    }
    if graph:
        told["provisioning"] = ProvisioningSettings(graph_url=graph, authority_url=graph)
    return told


def wsfed_settings(entra_port: int) -> WsFedSettings:
    """Microsoft's reply URLs and, here only, the Entra stand-in's."""
    home = f"http://localhost:{entra_port}"
    replies = (*CLOUDS["worldwide"].reply_urls, f"{home}/login.srf")
    return WsFedSettings(reply_urls=replies, start_url=f"{home}/")
