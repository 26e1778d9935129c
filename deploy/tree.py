"""The services that this tree holds, found by their packages."""

import importlib
import importlib.util
from collections.abc import Iterable, Iterator

from shared.contracts import SERVICES
from shared.run import Platform, Service


def names(file: str) -> list[str]:
    """Services that have this file, e.g. `app`, in the order of `shared.contracts.SERVICES`."""
    present = [name for name in SERVICES if importlib.util.find_spec(f"services.{name}")]
    return [name for name in present if importlib.util.find_spec(f"services.{name}.{file}")]


def services(platform: Platform, only: Iterable[str] = ()) -> Iterator[Service]:
    """Every service, wired and not running; or only those. Each needs its own keys."""
    for name in only or names("app"):
        yield importlib.import_module(f"services.{name}.app").build(platform)
