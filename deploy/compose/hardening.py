"""What the containers may not do, tried on the running ones."""

import json
import re
from typing import Any

from deploy.compose.containers import Containers, Fault, run
from shared.services import SERVICES

IMAGE_OWN = ("rabbitmq", "mongo")
"""Images of others, whose programs write into their own folders."""

_MONGO = """
const { readFileSync } = require("fs");
const users = JSON.parse(readFileSync("/run/blok365/users.json", "utf8"));
const [[own, [user, password]], [other]] = Object.entries(users);
const url = (name, who) => `mongodb://${who}mongo:27017/${name}?replicaSet=rs0`;
const mine = connect(url(own, `${user}:${password}@`));
mine.things.insertOne({ ok: 1 }, { writeConcern: { w: "majority", j: true } });
mine.things.deleteMany({});
const tries = {
  "read without a password": () => connect(url(own, "")).things.findOne(),
  "read another's database": () => mine.getSiblingDB(other).things.findOne(),
  "write another's database": () => mine.getSiblingDB(other).things.insertOne({}),
  "list the users": () => mine.getSiblingDB("admin").system.users.findOne(),
};
for (const [what, attempt] of Object.entries(tries)) {
  let refused = false;
  try { attempt(); } catch (error) { refused = error.codeName === "Unauthorized"; }
  if (!refused) throw new Error(`MongoDB lets ${user} ${what}`);
}
"""


async def check_hardening(containers: Containers) -> None:
    """Raises Fault with the first thing that is open."""
    found = await containers.inspect()
    images = json.loads(
        await run("docker", "image", "inspect", *sorted({each["Image"] for each in found.values()}))
    )
    environment = {image["Id"]: image["Config"]["Env"] or [] for image in images}
    for service, container in found.items():
        _rights(service, container, environment[container["Image"]])
    for service, container in found.items():
        if container["State"]["Running"]:
            await _inside(containers, service)
    await containers.inside("mongo", "mongosh", "--quiet", "--nodb", "--eval", _MONGO)
    users = await containers.inside("rabbitmq", "rabbitmqctl", "--quiet", "list_users")
    names = {line.split()[0] for line in users.splitlines()[1:] if line.strip()}
    _expect(names == set(SERVICES), f"RabbitMQ's users are {names}")


def _rights(service: str, container: dict[str, Any], image_environment: list[str]) -> None:
    """Check the rights that the engine gave to one container."""
    host, config = container["HostConfig"], container["Config"]
    _expect(config["User"] not in ("", "root", "0", "0:0"), f"{service} runs as root")
    _expect(host["CapDrop"] == ["ALL"], f"{service} keeps capabilities")
    _expect(not host["Privileged"], f"{service} is privileged")
    _expect("no-new-privileges:true" in host["SecurityOpt"], f"{service} may gain privileges")
    _expect(host["ReadonlyRootfs"] or service in IMAGE_OWN, f"{service} has a writable file system")
    _expect(not host["PortBindings"] or service == "caddy", f"{service} is published")
    given = [*(config["Env"] or []), *image_environment]
    secret = [
        each.partition("=")[0] for each in given if re.search(r"passw|secret=|://[^/]*@", each, re.IGNORECASE)
    ]
    _expect(not secret, f"{service} has a secret in its environment: {secret}")


async def _inside(containers: Containers, service: str) -> None:
    """What a program in the container sees: its user, its keys and nobody else's, and that it cannot change them."""
    said = await containers.inside(
        service,
        "sh",
        "-c",
        "id -u; touch /run/blok365/x 2>/dev/null && echo written; ls /run/blok365 2>&1; true",
    )
    user, *seen = said.split()
    _expect(user != "0", f"{service} runs as root")
    _expect("written" not in seen, f"{service} can write to its keys")
    name = service.partition("-")[0]
    if name in SERVICES:
        foreign = [
            file for file in seen for other in SERVICES if other != name and file.startswith(f"{other}.")
        ]
        _expect(f"{name}.key" in seen and not foreign, f"{service} holds {foreign or 'no key'}")


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Fault(otherwise)
