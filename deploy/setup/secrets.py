"""`python -m deploy.setup.secrets`: the passwords of docker-compose.yml, made once into var/compose/.

Existing files stay as they are: the volumes know their passwords. Files are readable by their owner only
(mode 0600); the folder is in .gitignore.
"""

import base64
import sys
from pathlib import Path

from shared.ids import Ids, SystemIds, new_secret

FOLDER = Path(__file__).resolve().parents[2] / "var" / "compose"
USER = "blok365"


def files(ids: Ids) -> dict[str, str]:
    """Name and contents of each file."""
    return {
        # Members of a replica set prove themselves to each other with this (6 to 1024 base64 characters).
        "mongo.key": base64.b64encode(ids.octets(96)).decode() + "\n",
        "mongo.env": f"MONGO_INITDB_ROOT_USERNAME={USER}\nMONGO_INITDB_ROOT_PASSWORD={new_secret(ids)}\n",
        "rabbitmq.env": f"RABBITMQ_DEFAULT_USER={USER}\nRABBITMQ_DEFAULT_PASS={new_secret(ids)}\n",
    }


def make(folder: Path, ids: Ids) -> list[Path]:
    """Write the files that are not there yet; returns them."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = []
    for name, contents in files(ids).items():
        path = folder / name
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(contents)
            made.append(path)
    return made


if __name__ == "__main__":
    for made in make(FOLDER, SystemIds()):
        print(f"secrets: made {made.relative_to(FOLDER.parents[1])}", file=sys.stderr)
