"""The topology says what the services do, and the definitions made from it allow just that."""

import base64
import hashlib
import json
import re
import stat
from pathlib import Path

import pytest

from deploy import tree
from deploy.rabbitmq.definitions import definitions, make, password_hash
from shared.bus.topology import EXCHANGE, SIGNALS, TOPOLOGY, Topology, routing_key
from shared.contracts import contracts
from shared.ids import SeededIds
from shared.services import SERVICES
from tests.world import make_world


async def test_each_service_handles_exactly_what_its_contracts_name_it_a_reader_of(tmp_path: Path) -> None:
    """Otherwise READERS lacks a service, or names one too many, or a command has no handler."""
    built = [wired.service for wired in tree.build(make_world(tmp_path).platform)]
    handled = {service.name: {contract.TYPE for contract in service.handlers} for service in built}
    readers = {
        service: {t for t, contract in contracts().items() if service in contract.READERS}
        for service in SERVICES
    }
    assert handled == readers
    assert readers == {service: TOPOLOGY.types_of(service) for service in SERVICES}


def test_no_service_reads_its_own_events_and_a_command_goes_to_its_owner_alone() -> None:
    for contract in contracts().values():
        if contract.KIND == "event":
            assert contract.owner() not in contract.READERS
        else:
            assert contract.READERS == {contract.owner()}


def test_a_command_goes_to_its_owner_whatever_a_test_says_of_events() -> None:
    none = Topology(readers={})
    for name, contract in contracts().items():
        assert none.readers_of(name) == (contract.READERS if contract.KIND == "command" else frozenset())


def test_only_an_event_that_somebody_reads_is_lost_when_no_queue_takes_it() -> None:
    some = Topology(readers={"admin.account.changed.v1": frozenset({"wsfed"})})
    assert some.is_lost_unrouted("admin.account.changed.v1")
    assert not some.is_lost_unrouted("admin.tenant.configured.v1")
    assert some.is_lost_unrouted("approval.challenge.open.v1")
    assert some.is_lost_unrouted("not.known.here.v1")


def test_who_reads_a_service_s_state_pulls_it_too_and_nobody_else_does() -> None:
    for service, row in SERVICES.items():
        types = TOPOLOGY.types_of(service)
        owners = {contracts()[t].owner() for t in types if contracts()[t].STATE}
        assert owners == set(row.follows)
        for owner in SERVICES:
            pulls, pulled = f"{owner}.state.pull.v1", f"{owner}.state.pulled.v1"
            assert (pulled in types) == (owner in owners)
            assert (pulls in contracts() and service in contracts()[pulls].SENDERS) == (owner in owners)


def test_an_addressed_message_is_bound_to_its_reader_alone() -> None:
    addressed = {name for name, contract in contracts().items() if contract.ADDRESSED}
    assert addressed
    for name in addressed:
        for reader in contracts()[name].READERS:
            keys = {b.key for b in TOPOLOGY.bindings(reader, TOPOLOGY.types_of(reader)) if name in b.key}
            assert keys == {f"{name}.{reader}"}
            consume = TOPOLOGY.permission(reader).consume
            others = contracts()[name].READERS - {reader}
            for key in (name, *(f"{name}.{other}" for other in others)):
                assert not re.search(consume, key), f"{reader} could read {key}"


@pytest.mark.parametrize("service", SERVICES)
def test_user_may_send_exactly_the_types_that_its_contracts_allow(service: str) -> None:
    send = TOPOLOGY.permission(service).send
    for message_type, contract in contracts().items():
        allowed = service in contract.SENDERS
        for reader in contract.READERS:
            assert bool(re.search(send, routing_key(message_type, reader))) == allowed
        if contract.ADDRESSED:
            for key in (message_type, f"{message_type}.", f"{message_type}.nobody"):
                assert not re.search(send, key), key
        else:
            assert bool(re.search(send, message_type)) == allowed
    for other in ("", "#", "*", "admin.account.changed.v10", "xadmin.account.changed.v1"):
        assert not re.search(send, other) or (other == "" and send == "^()$")


@pytest.mark.parametrize("service", SERVICES)
def test_user_touches_only_what_is_its_own(service: str) -> None:
    allowed = TOPOLOGY.permission(service)
    for other in set(SERVICES) - {service}:
        names = [other, *(queue.name for queue in TOPOLOGY.queues(other)), f"x{service}", f"{service}x"]
        for name in names:
            for pattern in (allowed.configure, allowed.write, allowed.read):
                assert not re.search(pattern, name), name
    for shared in (EXCHANGE, SIGNALS, "", "amq.topic", "amq.default"):
        assert not re.search(allowed.configure, shared)
    for queue in TOPOLOGY.queues(service):
        for pattern in (allowed.configure, allowed.write, allowed.read):
            assert re.search(pattern, queue.name)


def test_every_queue_is_safe() -> None:
    for service in SERVICES:
        for queue in TOPOLOGY.queues(service):
            assert queue.arguments["x-queue-type"] == "quorum"
            if "x-dead-letter-exchange" in queue.arguments:
                assert queue.arguments["x-dead-letter-strategy"] == "at-least-once"
                assert queue.arguments["x-overflow"] == "reject-publish"


def test_definitions_hold_no_password() -> None:
    made = definitions({"wsfed": "correct horse"}, SeededIds("salt"))
    assert "correct horse" not in json.dumps(made)
    salted = base64.b64decode(made["users"][0]["password_hash"])
    assert salted[4:] == hashlib.sha256(salted[:4] + b"correct horse").digest()
    assert password_hash("a", b"1234") != password_hash("a", b"1235")


def test_make_keeps_passwords_and_lets_only_the_owner_read(tmp_path: Path) -> None:
    make(tmp_path / "secrets", SeededIds("one"))
    first = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    make(tmp_path / "secrets", SeededIds("two"))
    again = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert set(first) == {"definitions.json", *(f"{service}.amqp" for service in SERVICES)}
    assert {n: t for n, t in first.items() if n.endswith(".amqp")} == {
        n: t for n, t in again.items() if n.endswith(".amqp")
    }
    for path in (tmp_path / "secrets").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
