"""One example of every message of every version, kept for ever: what was once sent can always be read.

To add one for a new message: write its JSON (all fields, also those with defaults) into `golden/<type>.json`.
A new field with a default goes into a new example `golden/<type>+<what>.json`; the old one stays as it is.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from shared.contracts import Command, Event, Message, contracts

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
    with pytest.raises(TypeError):
        type("Wrong", (Event,), {"TYPE": name, "__module__": __name__, "__annotations__": {}})


def test_only_its_owner_sends_an_event_and_commands_name_their_senders() -> None:
    for contract in contracts().values():
        if issubclass(contract, Event):
            assert contract.SENDERS == {contract.owner()}
        else:
            assert issubclass(contract, Command)
            assert contract.SENDERS
        assert contract.MAX_AGE is not None


def test_state_carries_a_version() -> None:
    for contract in contracts().values():
        if contract.STATE:
            assert "version" in contract.model_fields


def test_messages_cannot_be_changed_once_made() -> None:
    message: Message = contracts()["admin.account.changed.v1"].model_validate(
        json.loads((GOLDEN / "admin.account.changed.v1.json").read_text())
    )
    with pytest.raises(ValueError):
        message.account = "other"  # type: ignore[attr-defined]
