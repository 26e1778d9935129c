"""The two key files of wsfed are replaced apart: neither decides what the other does."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from services.wsfed.app import build
from services.wsfed.ports import Dependencies
from shared.assembly import Platform, Wired
from shared.crypto.key_file import load_keys, make_key
from shared.ids import SystemIds
from shared.store.sealing import CannotUnseal
from shared.web.cookies import Csrf
from tests.world import InMemorySystem, make_system, own_keys


def replace_key(path: Path) -> None:
    path.rename(path.with_name(f"{path.name}.old"))
    make_key(path, SystemIds())


def csrf_of(wired: Wired[Dependencies]) -> Csrf:
    """What the routes check forms with."""
    assert wired.service.web is not None
    contexts = [
        getattr(getattr(r.handler, "__self__", None), "context", None)
        for r in wired.service.web.router.routes()
    ]
    csrf: Any = next(context.csrf for context in contexts if context is not None)
    assert isinstance(csrf, Csrf)
    return csrf


def again(world: InMemorySystem) -> Platform:
    """The platform on which the next process finds what the last one kept."""
    world.kept["wsfed"] = world.databases["wsfed"].data
    return world.platform


async def test_key_files_rotate_apart(tmp_path: Path) -> None:
    world = make_system(tmp_path)
    keys = own_keys(world.platform.settings)
    first = build(world.platform)
    certificate = (await first.dependencies.keys.current("contoso")).certificate
    token = csrf_of(first).token("browser", "txn")

    replace_key(keys / "wsfed.csrf")
    second = build(again(world))
    assert csrf_of(second).token("browser", "txn") != token
    assert (await second.dependencies.keys.current("contoso")).certificate == certificate

    token = csrf_of(second).token("browser", "txn")
    replace_key(keys / "wsfed.seal")
    third = build(again(world))
    assert csrf_of(third).token("browser", "txn") == token
    assert (await third.dependencies.keys.current("contoso")).certificate == certificate

    await third.dependencies.keys.replace_all("contoso")
    (keys / "wsfed.seal.old").unlink()
    (keys / "wsfed.csrf.old").unlink()
    fourth = build(again(world))
    assert (await fourth.dependencies.keys.current("contoso")).certificate != certificate


async def test_without_the_old_seal_file_what_it_sealed_stays_shut(tmp_path: Path) -> None:
    world = make_system(tmp_path)
    keys = own_keys(world.platform.settings)
    await build(world.platform).dependencies.keys.current("contoso")
    replace_key(keys / "wsfed.seal")
    (keys / "wsfed.seal.old").unlink()
    with pytest.raises(CannotUnseal):
        await build(again(world)).dependencies.keys.current("contoso")


def test_a_key_file_of_another_length_is_refused(tmp_path: Path) -> None:
    (tmp_path / "wsfed.csrf").write_bytes(b"short")
    with pytest.raises(ValueError, match=r"wsfed\.csrf: a key has 32 octets"):
        load_keys(tmp_path / "wsfed.csrf")


def test_a_replica_takes_what_one_of_the_next_round_has_made(tmp_path: Path) -> None:
    """Two replicas while the key is replaced: each one may serve what the other has begun."""
    path = tmp_path / "wsfed.csrf"
    make_key(path, SystemIds())
    rounds = [load_keys(path)]
    make_key(path.with_name("wsfed.csrf.next"), SystemIds())
    rounds.append(load_keys(path))
    path.rename(path.with_name("wsfed.csrf.old"))
    path.with_name("wsfed.csrf.next").rename(path)
    rounds.append(load_keys(path))
    for before, after in itertools.pairwise(rounds):
        assert before[0] in after
        assert after[0] in before
    assert rounds[2][0] not in rounds[0]


@pytest.mark.parametrize("suffix", ["next", "old"])
def test_an_empty_key_file_beside_the_one_in_use_is_refused_by_its_name(tmp_path: Path, suffix: str) -> None:
    make_key(tmp_path / "wsfed.seal", SystemIds())
    (tmp_path / f"wsfed.seal.{suffix}").touch()
    with pytest.raises(ValueError, match=rf"wsfed\.seal\.{suffix}: a key has 32 octets"):
        load_keys(tmp_path / "wsfed.seal")


def test_a_key_that_could_not_be_written_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty file would count as the key: the service could never start again."""

    def full(*_: object) -> int:
        raise OSError("no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="no space"):
            make_key(tmp_path / "wsfed.csrf", SystemIds())
    assert not (tmp_path / "wsfed.csrf").exists()
    make_key(tmp_path / "wsfed.csrf", SystemIds())
    assert len(load_keys(tmp_path / "wsfed.csrf")) == 1
