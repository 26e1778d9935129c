"""The software phone against approval's routes, over HTTP, with its knobs for attacks."""

import asyncio
import json
import stat
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.local.backing.port import free_port
from deploy.standins.phone import PhoneError, SoftPhone, Tamper
from deploy.standins.phone.authenticator import UP, make_private_key
from shared.crypto.assertion import verify_assertion
from shared.ids import SeededIds, unb64u
from shared.web.server import serve
from tests.approval.support import ORIGIN, Approval, make_approval

pytestmark = pytest.mark.integration


@pytest.fixture
async def approval(tmp_path: Path) -> Approval:
    return await make_approval(tmp_path)


@pytest.fixture
async def url(approval: Approval) -> AsyncIterator[str]:
    application = approval.world.services["approval"].web
    assert application is not None
    runner, port = await serve(application, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{port}"
    await runner.cleanup()


@pytest.fixture
async def phone(approval: Approval, url: str, tmp_path: Path) -> AsyncIterator[SoftPhone]:
    async with SoftPhone(tmp_path / "phone.json", connect=url, ids=approval.ids) as phone:
        yield phone


async def enrolled(approval: Approval, phone: SoftPhone, account: str = "ada") -> None:
    await approval.account(account)
    await phone.enrol(f"{ORIGIN}/#i={await approval.invitation(account)}", name="Ada's phone")
    await approval.confirm(account)


async def test_enrols_lists_and_approves_with_a_proof_that_verifies_offline(
    approval: Approval, phone: SoftPhone
) -> None:
    await enrolled(approval, phone)
    asked = await approval.ask()
    (request,) = await phone.list()
    assert request.id == asked.id
    assert request.facts["application_name"] == "Microsoft 365"
    proof = await phone.approve(asked.code, request)
    assert set(proof) == {"context", "authenticator_data", "client_data_json", "signature", "public_key"}
    assert unb64u(proof["context"]).decode() == asked.with_code()
    verify_assertion(
        authenticator_data=unb64u(proof["authenticator_data"]),
        client_data_json=unb64u(proof["client_data_json"]),
        signature=unb64u(proof["signature"]),
        public_key=unb64u(proof["public_key"]),
        expected_challenge=unb64u(asked.command.expected_digest),
        expected_origins=frozenset({ORIGIN}),
        expected_rp_id="id.localhost",
    )
    assert await approval.outcomes() == [(asked.command.transaction, "accepted")]
    assert await phone.list() == []


async def test_takes_the_code_as_the_page_shows_it(approval: Approval, phone: SoftPhone) -> None:
    """In two groups of digits."""
    await enrolled(approval, phone)
    asked = await approval.ask()
    await phone.approve(f" {asked.code[:3]} {asked.code[3:]}")
    assert approval.state(asked) == "accepted"


async def test_approves_what_it_scanned(approval: Approval, phone: SoftPhone) -> None:
    await enrolled(approval, phone)
    asked = await approval.ask(method="qr")
    request = await phone.scan(f"{ORIGIN}/#q={asked.handle}")
    await phone.approve(asked.code, request)
    assert approval.state(asked) == "accepted"


@pytest.mark.parametrize("text", ["", "x", f"{ORIGIN}/#i=a.b", "https://evil.example/#q=x"])
async def test_scans_nothing_else(approval: Approval, phone: SoftPhone, text: str) -> None:
    await enrolled(approval, phone)
    with pytest.raises(ValueError):
        await phone.scan(text)


async def test_denies_and_reports(approval: Approval, phone: SoftPhone) -> None:
    await enrolled(approval, phone)
    first = await approval.ask()
    await phone.deny(first.id)
    second = await approval.ask()
    await phone.not_me()
    assert [outcome for _, outcome in await approval.outcomes()] == ["denied", "not_me"]
    assert approval.state(second) == "not_me"


async def test_makes_a_new_session_when_the_old_one_is_over(approval: Approval, phone: SoftPhone) -> None:
    await enrolled(approval, phone)
    await phone.list()
    approval.world.clock.advance(13 * 3600)
    assert await phone.list() == []


async def test_keys_survive_in_a_file_that_only_the_owner_reads(
    approval: Approval, phone: SoftPhone, url: str, tmp_path: Path
) -> None:
    await enrolled(approval, phone)
    await phone.list()
    file = tmp_path / "phone.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    asked = await approval.ask()
    async with SoftPhone(file, connect=url) as again:
        assert again.key.to_json() == phone.key.to_json()
        await again.approve(asked.code)
    assert approval.state(asked) == "accepted"


async def test_several_accounts_on_one_phone(approval: Approval, phone: SoftPhone) -> None:
    await enrolled(approval, phone, "ada")
    await enrolled(approval, phone, "grace")
    for_ada = await approval.ask("ada")
    assert await phone.list() == []
    phone.use("ada@contoso.example")
    assert [request.id for request in await phone.list()] == [for_ada.id]
    with pytest.raises(LookupError):
        phone.use("nobody@contoso.example")


KNOBS = {
    "without user verification": Tamper(flags=UP),
    "foreign key": Tamper(signing_key=make_private_key("ES256", SeededIds("foreign"))),
    "other origin": Tamper(origin="https://evil.example"),
    "other RP ID": Tamper(rp_id="evil.example"),
}


@pytest.mark.parametrize("tamper", KNOBS.values(), ids=KNOBS)
async def test_each_knob_is_noticed(approval: Approval, phone: SoftPhone, tamper: Tamper) -> None:
    await enrolled(approval, phone)
    asked = await approval.ask()
    with pytest.raises(PhoneError) as refused:
        await phone.approve(asked.code, tamper=tamper)
    assert (refused.value.status, refused.value.code) == (403, "assertion")


async def test_replay_is_noticed(approval: Approval, phone: SoftPhone) -> None:
    await enrolled(approval, phone)
    asked = await approval.ask()
    (request,) = await phone.list()
    await phone.approve(asked.code, request)
    with pytest.raises(PhoneError) as refused:
        await phone.approve(asked.code, request, tamper=Tamper(replay=phone.last_credential))
    assert (refused.value.status, refused.value.code) == (409, "accepted")


async def test_other_context_is_noticed(approval: Approval, phone: SoftPhone) -> None:
    await enrolled(approval, phone)
    asked, other = await approval.ask(browser="a"), await approval.ask(browser="b")
    with pytest.raises(PhoneError) as refused:
        await phone.approve(asked.code, asked.id, tamper=Tamper(context=other.with_code()))
    assert refused.value.code == "other_context"


async def test_forged_endorsement_is_noticed(approval: Approval, phone: SoftPhone) -> None:
    await approval.account()
    link = f"{ORIGIN}/#i={await approval.invitation()}"
    with pytest.raises(PhoneError) as refused:
        await phone.enrol(link, tamper=Tamper(endorsement=bytes(64)))
    assert refused.value.code == "endorsement"
    assert phone.keys == []


@pytest.mark.parametrize("link", ["", f"{ORIGIN}/", f"{ORIGIN}/#i=x", f"{ORIGIN}/#q=x"])
async def test_enrols_from_nothing_else(phone: SoftPhone, link: str) -> None:
    with pytest.raises(ValueError):
        await phone.enrol(link)


async def test_removes_a_device(approval: Approval, phone: SoftPhone) -> None:
    await enrolled(approval, phone)
    (device,) = await phone.devices()
    await phone.remove_device(device["id"])
    with pytest.raises(PhoneError):
        await phone.list()


async def command(*arguments: str, store: Path, url: str) -> tuple[int, str, str]:
    """The command line as a process of its own: exit code, what it said, what it complained about."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "deploy.standins.phone", arguments[0], "--store", str(store), "--connect", url),
        *arguments[1:],
        stdout=PIPE,
        stderr=PIPE,
    )
    said, complained = await process.communicate()
    return process.returncode or 0, said.decode(), complained.decode()


async def test_command_line_walks_through_a_sign_in(approval: Approval, url: str, tmp_path: Path) -> None:
    async def run(*arguments: str) -> str:
        code, said, complained = await command(*arguments, store=tmp_path / "cli.json", url=url)
        assert code == 0, complained
        return said

    await approval.account()
    link = f"{ORIGIN}/#i={await approval.invitation()}"
    assert "enrolled ada@contoso.example" in await run("enrol", link)
    await approval.confirm()
    asked = await approval.ask()
    assert json.loads(await run("list"))["id"] == asked.id
    proof = tmp_path / "proof.json"
    assert await run("approve", "--code", asked.code, "--proof", str(proof), asked.id) == "approved\n"
    assert unb64u(json.loads(proof.read_text())["context"]).decode() == asked.with_code()
    refused = await approval.ask()
    assert await run("not-me") == "reported\n"
    assert approval.state(refused) == "not_me"
    scanned = await approval.ask(method="qr")
    code = f"{ORIGIN}/#q={scanned.handle}"
    assert await run("approve", "--code", scanned.code, "--scan", code) == "approved\n"
    assert approval.state(scanned) == "accepted"


async def test_command_line_says_in_one_line_what_went_wrong(url: str, tmp_path: Path) -> None:
    said = await command("list", store=tmp_path / "none.json", url=url)
    assert said == (1, "", "phone: no key yet: enrol first\n")
    nobody = free_port()
    said = await command(
        "enrol", f"{ORIGIN}/#i=a.b", store=tmp_path / "none.json", url=f"http://127.0.0.1:{nobody}"
    )
    assert said == (1, "", f"phone: 127.0.0.1:{nobody} does not answer: does Blok365 run there?\n")
