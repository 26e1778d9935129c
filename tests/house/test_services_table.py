"""The table of services: it fits the tree, and rows that contradict each other are refused."""

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import services
from deploy import wiring
from shared.bus.memory import MemoryBus
from shared.contracts import contracts
from shared.services import SERVICES, Host, Mount, ServiceRow, table
from shared.web.cookies import HostCookie
from shared.web.problems import API_PREFIXES
from shared.web.proxy import cookie_starts
from tests.world import make_system

ROOT = Path(__file__).parents[2]
OWNER = ServiceRow(name="owner", owns_state=True)


def modules(service: str) -> list[str]:
    package = importlib.import_module(f"services.{service}")
    found = pkgutil.walk_packages(package.__path__, f"services.{service}.")
    return [module.name for module in found if not module.name.endswith("__main__")]


def test_every_service_has_a_row_and_every_row_a_service() -> None:
    assert set(SERVICES) == {package.name for package in pkgutil.iter_modules(services.__path__)}


@pytest.mark.parametrize("file", ["__main__", "app", "config"])
def test_every_service_has_the_files_that_its_runners_look_for(file: str) -> None:
    assert wiring.names(file) == list(SERVICES)


def test_who_owns_state_says_it_in_messages_and_who_follows_it_reads_them() -> None:
    states = [contract for contract in contracts().values() if contract.STATE]
    assert {c.owner() for c in states} == {row.name for row in SERVICES.values() if row.owns_state}
    for row in SERVICES.values():
        assert {c.owner() for c in states if row.name in c.READERS} == set(row.follows)


def test_owners_start_before_those_who_only_follow_them() -> None:
    names = list(SERVICES)
    for row in SERVICES.values():
        if not row.owns_state:
            assert all(names.index(owner) < names.index(row.name) for owner in row.follows)


@pytest.mark.parametrize("service", SERVICES)
def test_the_table_has_every_cookie_of_a_service(service: str) -> None:
    """Otherwise the proxy would show it to the others."""
    known = cookie_starts(SERVICES[service])
    for name in modules(service):
        for value in vars(importlib.import_module(name)).values():
            if isinstance(value, HostCookie):
                assert any(f"{value.name}=".startswith(start) for start in known), (name, value.name)
    for path in (ROOT / "services" / service).rglob("*.py"):
        assert not re.search(r'HostCookie\(f?["\']', path.read_text()), f"{path.name} names a cookie itself"


def test_paths_for_programs_are_below_the_mounts_of_their_service() -> None:
    for row in SERVICES.values():
        for prefix in row.api:
            assert any(f"{prefix}/".startswith(mount.prefix) for mount in row.mounts)
            assert prefix in API_PREFIXES


def test_containers_are_numbered_where_there_are_more_than_one() -> None:
    assert ServiceRow(name="one").containers == ("one",)
    assert ServiceRow(name="two", replicas=2).containers == ("two-1", "two-2")


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (OWNER, "same name"),
        (ServiceRow(name="toy", follows=("nobody",)), "cannot follow nobody"),
        (ServiceRow(name="toy", follows=("silent",)), "cannot follow silent"),
        (ServiceRow(name="toy", owns_state=True, follows=("toy",)), "cannot follow toy"),
        (ServiceRow(name="toy", essential=True), "owns no state"),
        (ServiceRow(name="toy", replicas=0), "no process"),
        (ServiceRow(name="toy", mounts=(Mount(Host.SIGNIN, "/taken/"),)), "share /taken/"),
        (ServiceRow(name="toy", mounts=(Mount(Host.SIGNIN, "/taken/too/"),)), "share /taken/too/"),
        (ServiceRow(name="toy", mounts=(Mount(Host.SIGNIN, "/open"),)), "slash"),
        (ServiceRow(name="toy", mounts=(Mount(Host.SIGNIN, "open/"),)), "slash"),
    ],
)
def test_refuses_rows_that_contradict_each_other(row: ServiceRow, fault: str) -> None:
    silent = ServiceRow(name="silent", mounts=(Mount(Host.SIGNIN, "/taken/"), Mount(Host.CONSOLE, "/")))
    with pytest.raises(ValueError, match=fault):
        table(OWNER, silent, row)


def test_a_whole_host_leaves_room_for_paths_of_others() -> None:
    whole = ServiceRow(name="whole", mounts=(Mount(Host.CONSOLE, "/"),))
    hook = ServiceRow(name="hook", mounts=(Mount(Host.CONSOLE, "/hook/"),))
    assert list(table(whole, hook)) == ["whole", "hook"]


def test_an_assembly_refuses_state_that_the_table_does_not_know_of(tmp_path: Path) -> None:
    platform = make_system(tmp_path).platform
    assert isinstance(platform.bus, MemoryBus)
    with pytest.raises(ValueError, match=r"owns_state in shared/services\.py is True"):
        platform.assemble("admin").service({})
    with pytest.raises(KeyError):
        platform.assemble("notify").fresh("wsfed")
