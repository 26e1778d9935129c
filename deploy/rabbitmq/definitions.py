"""`python -m deploy.rabbitmq.definitions FOLDER`: RabbitMQ's users, permissions, exchanges and queues.

Made from the contracts (who sends and who reads what) and `shared/bus/topology.py`. Writes
`FOLDER/definitions.json` for RabbitMQ's `load_definitions`, and `FOLDER/<service>.amqp`, each service's password,
where there is none yet. Users can only publish the types they may send, and only touch their own queues; nobody
but the administrator's user (not made here) may change the shared exchanges.
"""

import base64
import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.bus.topology import EXCHANGE, SIGNALS, TOPOLOGY, Topology
from shared.files import replace_file
from shared.ids import Ids, SystemIds, new_secret
from shared.services import SERVICES, Services

Definitions = dict[str, list[dict[str, Any]]]


def password_hash(password: str, salt: bytes) -> str:
    """RabbitMQ's rabbit_password_hashing_sha256: base64 of a 4-octet salt and SHA-256 over salt and password."""
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def definitions(
    passwords: Mapping[str, str],
    ids: Ids,
    *,
    vhost: str = "blok365",
    topology: Topology = TOPOLOGY,
    user_prefix: str = "",
) -> Definitions:
    """The whole, as RabbitMQ's definitions JSON. `passwords`: one for each service, which is its user's name."""
    made: Definitions = {
        "vhosts": [{"name": vhost}],
        "users": [],
        "permissions": [],
        "topic_permissions": [],
        "exchanges": [
            _exchange(vhost, EXCHANGE, "topic"),
            _exchange(vhost, SIGNALS, "direct"),
        ],
        "queues": [],
        "bindings": [],
    }
    for service, password in passwords.items():
        user = user_prefix + service
        allowed = topology.permission(service)
        made["users"].append(
            {
                "name": user,
                "password_hash": password_hash(password, ids.random_bytes(4)),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": "",
            }
        )
        place = {"user": user, "vhost": vhost}
        made["permissions"].append(
            {**place, "configure": allowed.configure, "write": allowed.write, "read": allowed.read}
        )
        made["topic_permissions"].append(
            {**place, "exchange": EXCHANGE, "write": allowed.send, "read": allowed.consume}
        )
        made["exchanges"].append(_exchange(vhost, service, "direct"))
        made["queues"] += [
            {
                "name": queue.name,
                "vhost": vhost,
                "durable": True,
                "auto_delete": False,
                "arguments": dict(queue.arguments),
            }
            for queue in topology.queues(service)
        ]
        made["bindings"] += [
            {
                "source": binding.exchange,
                "vhost": vhost,
                "destination": binding.queue,
                "destination_type": "queue",
                "routing_key": binding.key,
                "arguments": {},
            }
            for binding in topology.bindings(service, topology.types_of(service))
        ]
    return made


def _exchange(vhost: str, name: str, kind: str) -> dict[str, Any]:
    return {
        "name": name,
        "vhost": vhost,
        "type": kind,
        "durable": True,
        "auto_delete": False,
        "internal": False,
        "arguments": {},
    }


def make(folder: Path, ids: Ids, table: Services = SERVICES) -> None:
    """Write the definitions, and the passwords that are missing (mode 0600)."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    passwords: dict[str, str] = {}
    for service in table:
        path = folder / f"{service}.amqp"
        if not path.exists():
            replace_file(path, new_secret(ids))
        passwords[service] = path.read_text().strip()
    target = folder / "definitions.json"
    replace_file(target, json.dumps(definitions(passwords, ids), indent=2) + "\n")


if __name__ == "__main__":
    make(Path(sys.argv[1]), SystemIds())
