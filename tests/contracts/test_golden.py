"""One example of every message of every version, kept for ever: what was once sent can always be read.

To add one for a new message: write its JSON (all fields, also those with defaults) into `golden/<type>.json`.
A new field with a default goes into a new example `golden/<type>+<what>.json`; the old one stays as it is.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from shared.contracts import Command, Event, Message, StateEvent, contracts

GOLDEN = Path(__file__).parent / "golden"
EXAMPLES = sorted(GOLDEN.glob("*.json"))


def type_of(path: Path) -> str:
    return path.stem.partition("+")[0]


def contains(whole: Any, part: Any) -> bool:
    """Whether everything of the old example is still there, in the same words."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(k in whole and contains(whole[k], v) for k, v in part.items())
    if isinstance(part, list):
        return isinstance(whole, list) and len(whole) == len(part) and all(map(contains, whole, part))
    return bool(whole == part)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_old_messages_still_parse_and_mean_the_same(path: Path) -> None:
    example = json.loads(path.read_text())
    message = contracts()[type_of(path)].model_validate(example)
    assert contains(message.model_dump(mode="json"), example)


@pytest.mark.parametrize("name", sorted(contracts()))
def test_every_message_has_an_example_with_all_its_fields(name: str) -> None:
    examples = [json.loads(p.read_text()) for p in EXAMPLES if type_of(p) == name]
    assert examples, f"write tests/contracts/golden/{name}.json"
    fields = set().union(*examples)
    assert fields == set(contracts()[name].model_fields)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_readers_ignore_fields_that_a_newer_sender_adds(path: Path) -> None:
    example = json.loads(path.read_text())
    contract = contracts()[type_of(path)]
    assert contract.model_validate({**example, "new_field": 1}) == contract.model_validate(example)


def test_no_example_is_left_of_a_message_that_is_gone() -> None:
    assert {type_of(p) for p in EXAMPLES} == set(contracts())


@pytest.mark.parametrize("name", ["admin.account", "admin.account.changed", "Admin.account.changed.v1",
                                  "admin.account.changed.v0", "nobody.account.changed.v1",
                                  "admin.account.changed.v1"])  # fmt: skip
def test_a_message_with_a_wrong_or_taken_name_fails_at_import(name: str) -> None:
    contracts()
    with pytest.raises(TypeError, match=r"is not owner\.subject\.verb\.vN|defined twice"):
        type("Wrong", (Event,), {"TYPE": name, "READERS": frozenset(), "__module__": __name__})


@pytest.mark.parametrize(
    ("base", "services", "fault"),
    [
        (Event, {}, "no READERS"),
        (Event, {"READERS": frozenset({"nobody"})}, "unknown service among READERS"),
        (Command, {}, "no SENDERS"),
        (Command, {"SENDERS": frozenset({"nobody"})}, "unknown service among SENDERS"),
    ],
)
def test_a_message_that_does_not_say_who_sends_or_reads_it_fails_at_import(
    base: type[Message], services: dict[str, frozenset[str]], fault: str
) -> None:
    with pytest.raises(TypeError, match=fault):
        type("Wrong", (base,), {"TYPE": "admin.wrong.message.v1", **services, "__module__": __name__})
    assert "admin.wrong.message.v1" not in contracts()


def test_only_its_owner_sends_an_event_and_commands_name_their_senders() -> None:
    for contract in contracts().values():
        if issubclass(contract, Event):
            assert contract.SENDERS == {contract.owner()}
        else:
            assert issubclass(contract, Command)
            assert contract.SENDERS
        assert contract.MAX_AGE is not None


def test_what_carries_state_is_a_state_event() -> None:
    for contract in contracts().values():
        assert contract.STATE == issubclass(contract, StateEvent)


def test_a_higher_generation_comes_after_any_version_of_a_lower_one() -> None:
    def state(generation: int, version: int) -> int:
        return StateEvent(generation=generation, version=version).order

    assert state(0, 1) < state(0, 2) < state(0, 2**31 - 1) < state(1, 1) < state(1, 2) < state(2**32 - 1, 1)
    assert state(2**32 - 1, 2**31 - 1) < 2**63  # MongoDB's largest integer is 2**63 - 1


@pytest.mark.parametrize(("generation", "version"), [(0, 0), (0, 2**31), (-1, 1), (2**32, 1), (0, -1)])
def test_state_without_a_place_in_the_order_is_refused(generation: int, version: int) -> None:
    with pytest.raises(ValueError):
        StateEvent(generation=generation, version=version)


def test_messages_cannot_be_changed_once_made() -> None:
    message: Message = contracts()["admin.account.changed.v1"].model_validate(
        json.loads((GOLDEN / "admin.account.changed.v1.json").read_text())
    )
    with pytest.raises(ValueError):
        message.account = "other"  # type: ignore[attr-defined]
