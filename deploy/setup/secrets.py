"""`python -m deploy.setup.secrets FOLDER`: every key and password of docker-compose.yml, made once.

FOLDER holds a folder for each service, one for `rabbitmq` and one for `mongo`: in docker-compose.yml these are
volumes, and each container mounts its own alone, read-only. This program is the only one that sees them together;
it has no network, and puts them together in memory only. What exists is kept; what is missing is made, so a new
service gets its own, and everybody the new public keys.

A service finds `<service>.*` (its private keys), what is public, and the settings `blok365_mongo_url` and
`blok365_bus_url`, which hold its passwords (`BLOK365_SECRETS`).
"""

import base64
import json
import shutil
import sys
import tempfile
from pathlib import Path

from deploy.local.platform import make_keys
from deploy.rabbitmq import definitions
from shared.files import replace_file
from shared.ids import Ids, SystemIds, new_secret
from shared.services import SERVICES, Services
from shared.settings import Settings

PUBLIC = ("trusted.json", "boxes.json", "vapid.pub")
DATABASE = "blok365_{service}"
"""A service's database with the default `BLOK365_DATABASE_PREFIX`. The service's user is kept in it, too."""
MONGO_URL = "mongodb://{service}:{password}@mongo:27017/" + DATABASE + "?replicaSet=rs0"
BUS_URL = "amqp://{service}:{password}@rabbitmq:5672/blok365"


def make(folder: Path, ids: Ids, table: Services = SERVICES) -> list[str]:
    """Make what is missing and renew what is derived; the names of the files that are new or changed."""
    with tempfile.TemporaryDirectory() as name:
        together = Path(name)
        for service in table:
            for path in (folder / service).glob(f"{service}.*"):
                shutil.copy2(path, together)
        make_keys(Settings(keys=together), ids, table)
        definitions.make(together, ids, table)
        passwords = {service: _password(together / f"{service}.mongo", ids) for service in table}
        return [*_services(together, folder, passwords), *_servers(together, folder, passwords, ids)]


def _services(together: Path, folder: Path, passwords: dict[str, str]) -> list[str]:
    changed = []
    for service in passwords:
        urls = {
            "blok365_mongo_url": MONGO_URL.format(service=service, password=passwords[service]),
            "blok365_bus_url": BUS_URL.format(
                service=service, password=(together / f"{service}.amqp").read_text().strip()
            ),
        }
        own = {path.name: path.read_bytes() for path in sorted(together.glob(f"{service}.*"))}
        private = own | {key: value.encode() for key, value in urls.items()}
        public = {key: (together / key).read_bytes() for key in PUBLIC}
        changed += [_write(folder / service / key, private[key], 0o400) for key in private]
        changed += [_write(folder / service / key, public[key], 0o444) for key in public]
    return [each for each in changed if each]


def _servers(together: Path, folder: Path, passwords: dict[str, str], ids: Ids) -> list[str]:
    """What RabbitMQ and MongoDB read. They are other users, so the mode lets them; nobody else has the volume."""
    mongo = folder / "mongo"
    once = {
        # Members of a replica set prove themselves to each other with this (6 to 1024 base64 characters).
        "replica.key": base64.b64encode(ids.random_bytes(96)).decode(),
        "root": new_secret(ids),
    }
    files = {mongo / key: value for key, value in once.items() if not (mongo / key).exists()}
    files[mongo / "users.json"] = json.dumps(
        {DATABASE.format(service=service): [service, password] for service, password in passwords.items()},
        indent=2,
    )
    # Password hashes only. Salts are new every time; the broker reads it at its start.
    files[folder / "rabbitmq" / "definitions.json"] = (together / "definitions.json").read_text()
    return [each for path, text in files.items() if (each := _write(path, text.encode(), 0o444))]


def _password(path: Path, ids: Ids) -> str:
    if not path.exists():
        replace_file(path, new_secret(ids))
    return path.read_text()


def _write(path: Path, contents: bytes, mode: int) -> str:
    """Write it whole or not at all; its name, or nothing when it was so already."""
    if path.exists() and path.read_bytes() == contents:
        return ""
    replace_file(path, contents, mode=mode)
    return f"{path.parent.name}/{path.name}"


if __name__ == "__main__":
    for made in make(Path(sys.argv[1]), SystemIds()):
        print(f"secrets: {made}")
