"""deploy/setup/secrets.py: everybody gets their own, nobody another's, and nothing that exists is lost."""

import json
import stat
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from deploy.setup.secrets import PUBLIC, make
from shared.crypto.keys import load_service_key, load_trusted_keys, raw_public
from shared.ids import SeededIds
from shared.services import SERVICES

FOLDERS = (*SERVICES, "rabbitmq", "mongo")


@pytest.fixture
def handout(tmp_path: Path) -> Path:
    for name in FOLDERS:
        (tmp_path / name).mkdir()
    make(tmp_path, SeededIds("first"))
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_gets_its_own_keys_and_nobody_elses(handout: Path, service: str) -> None:
    files = {path.name for path in (handout / service).iterdir()}
    private = files - set(PUBLIC) - {"blok365_mongo_url", "blok365_bus_url"}
    assert {f"{service}.key", f"{service}.seal"} <= private
    assert all(name.startswith(f"{service}.") for name in private)
    assert (f"{service}.csrf" in private) is bool(SERVICES[service].cookies)


@pytest.mark.parametrize("service", SERVICES)
def test_private_files_are_readable_by_their_owner_only(handout: Path, service: str) -> None:
    for path in (handout / service).iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == (0o444 if path.name in PUBLIC else 0o400)


def test_no_secret_of_a_service_is_in_the_folder_of_another(handout: Path) -> None:
    for owner in SERVICES:
        secrets = [path.read_bytes() for path in (handout / owner).glob(f"{owner}.*")]
        for other in set(SERVICES) - {owner}:
            found = b"".join(path.read_bytes() for path in (handout / other).iterdir())
            assert not [secret for secret in secrets if secret in found]


def test_rabbitmq_gets_hashes_and_no_password(handout: Path) -> None:
    definitions = (handout / "rabbitmq" / "definitions.json").read_text()
    for service in SERVICES:
        assert (handout / service / f"{service}.amqp").read_text() not in definitions


def test_everybody_trusts_the_keys_that_were_handed_out(handout: Path) -> None:
    for reader in SERVICES:
        trusted = load_trusted_keys(handout / reader / "trusted.json")
        for service in SERVICES:
            own = load_service_key(handout / service / f"{service}.key")
            assert [raw_public(key) for key in trusted[service]] == [raw_public(own)]


def test_the_urls_carry_the_passwords_that_the_servers_are_told(handout: Path) -> None:
    users = json.loads((handout / "mongo" / "users.json").read_text())
    for service in SERVICES:
        url = urlsplit((handout / service / "blok365_mongo_url").read_text())
        assert users[url.path.removeprefix("/")] == [url.username, url.password] == [service, url.password]


def test_a_second_time_changes_nothing_but_the_salts(handout: Path) -> None:
    before = contents(handout)
    assert make(handout, SeededIds("second")) == ["rabbitmq/definitions.json"]
    after = contents(handout)
    assert {name for name in before if before[name] != after[name]} == {"rabbitmq/definitions.json"}


def test_a_service_that_lost_its_folder_gets_new_keys_and_the_others_keep_theirs(handout: Path) -> None:
    before = contents(handout)
    for path in (handout / "approval").iterdir():
        path.unlink()
    make(handout, SeededIds("second"))
    after = contents(handout)
    changed = {name for name in before if before[name] != after[name]}
    assert "approval/approval.key" in changed
    assert "wsfed/trusted.json" in changed
    kept = {"wsfed/wsfed.key", "wsfed/wsfed.seal", "wsfed/wsfed.csrf", "wsfed/blok365_mongo_url"}
    kept |= {"admin/admin.key", "mongo/root"}
    assert not kept & changed
