"""docker-compose.yml is written by hand, and says what the table of services says."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.services import SERVICES, ServiceRow

TEXT = (Path(__file__).parents[2] / "docker-compose.yml").read_text()
NOT_OURS = {"secrets", "caddy", "rabbitmq", "mongo", "mongo-init"}
"""Containers of no service."""
_BODY = r"[^\n]*\n(?:[ ]{%d}[^\n]*\n|\n)*"
SECTIONS = {m[1]: m[0] for m in re.finditer(rf"^([a-z0-9-]+):{_BODY % 2}", TEXT, re.MULTILINE)}
ENTRIES = {
    m[1]: m[0] for m in re.finditer(rf"^  ([a-z0-9-]+):{_BODY % 4}", SECTIONS["services"], re.MULTILINE)
}
ROWS = pytest.mark.parametrize("row", SERVICES.values(), ids=SERVICES)


def texts(text: str) -> Iterator[str]:
    """An entry, then what it takes over: YAML's anchors, nearest first."""
    yield text
    for alias in re.findall(r"(?:: |<<: )\*([a-z0-9]+)", text):
        if alias != "environment":
            yield from texts(SECTIONS[f"x-{alias}"])


def listed(text: str, key: str) -> set[str]:
    """The elements of a list in brackets; the nearest one counts."""
    for each in texts(text):
        if match := re.search(rf"\b{key}: \[([^\]]*)\]", each):
            return {element.strip(' "') for element in match[1].split(",")}
    raise AssertionError(f"no {key} in {text}")


def test_there_are_the_containers_of_the_table_and_no_others() -> None:
    ours = {name for row in SERVICES.values() for name in (*row.containers, f"migrate-{row.name}")}
    assert set(ENTRIES) == ours | NOT_OURS


@ROWS
def test_a_container_runs_its_service_with_its_own_keys_after_its_migration(row: ServiceRow) -> None:
    for name in row.containers:
        entry = ENTRIES[name]
        assert listed(entry, "command") == {"python", "-m", f"services.{row.name}"}
        volumes = listed(entry, "volumes")
        assert f"{row.name}:/run/blok365:ro" in volumes
        assert not {volume.partition(":")[0] for volume in volumes} & (set(SERVICES) - {row.name})
        waits = f"migrate-{row.name}: {{ condition: service_completed_successfully }}"
        assert any(waits in text for text in texts(entry))


@ROWS
def test_a_migration_runs_with_the_keys_of_its_service_alone(row: ServiceRow) -> None:
    entry = ENTRIES[f"migrate-{row.name}"]
    assert listed(entry, "command") == {"blok365", "migrate", row.name}
    assert listed(entry, "volumes") == {f"{row.name}:/run/blok365:ro"}
    assert listed(entry, "networks") == {"back"}


@ROWS
def test_only_who_is_reached_is_on_the_edge_and_only_who_calls_out_is_on_the_way_out(row: ServiceRow) -> None:
    networks = {"back"} | ({"edge"} if row.mounts else set()) | ({"out"} if row.outside else set())
    for name in row.containers:
        assert listed(ENTRIES[name], "networks") == networks


@ROWS
def test_keys_are_handed_out_in_a_volume_of_the_services_own(row: ServiceRow) -> None:
    assert f"      - {row.name}:/handout/{row.name}\n" in ENTRIES["secrets"]
    assert re.search(rf"^  {row.name}: {{}}$", SECTIONS["volumes"], re.MULTILINE)
