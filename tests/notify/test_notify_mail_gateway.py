"""The mail gateways: the folder, and SMTP against the stand-in over real sockets."""

import asyncio
import ssl
from collections.abc import Callable
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from deploy.standins.mail.server import MailServer
from services.notify.config import NotifySettings
from services.notify.domain.delivery import Failed, Later, Sent
from services.notify.gateways import mail as gateway
from services.notify.gateways.composer import TemplateComposer
from services.notify.gateways.mail import FolderMailer, SmtpMailer
from shared.clock import ManualClock, SystemClock
from tests.notify.support import LINK, invitation, text_of
from tests.world import START

COMPOSER = TemplateComposer(sender="Blok365 <blok365@contoso.example>", reply_to="")


def mail(to: str = "ada@private.example", delivery: str = "d1", **fields: Any) -> EmailMessage:
    return COMPOSER.compose(invitation(to, **fields), delivery, START)


async def test_without_a_server_mails_land_in_the_folder_for_their_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "mail"
    assert await FolderMailer(folder, ManualClock(START)).send(mail()) == Sent()
    (file,) = folder.iterdir()
    assert file.name == "20260302T080000-d1.eml"
    assert file.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    read = message_from_bytes(file.read_bytes(), policy=policy.default)
    assert isinstance(read, EmailMessage)
    assert LINK in text_of(read, "plain")


@pytest.mark.parametrize("name", ["Ada Lovelace", "Zoé Ångström"])
def test_a_link_can_be_copied_from_the_file_as_it_stands(tmp_path: Path, name: str) -> None:
    message = mail(name=name)
    asyncio.run(FolderMailer(tmp_path, ManualClock(START)).send(message))
    (file,) = tmp_path.iterdir()
    octets = file.read_bytes()
    assert LINK in octets.decode().splitlines(), "the link is not on a line of its own"
    assert b"quoted-printable" not in octets
    assert b"base64" not in octets
    read = message_from_bytes(octets, policy=policy.default)
    assert isinstance(read, EmailMessage)
    for kind in ("plain", "html"):
        assert text_of(read, kind).splitlines() == text_of(message, kind).splitlines()


@pytest.mark.parametrize("to", ["jörg@private.example", "a..b@private.example", "o'brien+x@private.example"])
def test_unusual_addresses_are_kept_as_they_are(tmp_path: Path, to: str) -> None:
    assert asyncio.run(FolderMailer(tmp_path, ManualClock(START)).send(mail(to))) == Sent()
    (file,) = tmp_path.iterdir()
    line = next(line for line in file.read_bytes().splitlines() if line.startswith(b"To:"))
    assert line.decode().replace('"', "") == f"To: Ada Lovelace <{to}>"


async def test_a_folder_that_cannot_be_written_is_tried_again_later(tmp_path: Path) -> None:
    (tmp_path / "mail").write_text("a file")
    assert await FolderMailer(tmp_path / "mail", ManualClock(START)).send(mail()) == Later("FileExistsError")


def plain(server: MailServer, **settings: Any) -> SmtpMailer:
    values: dict[str, Any] = {"smtp_host": "127.0.0.1", "smtp_port": server.port, "smtp_security": "none"}
    return SmtpMailer(NotifySettings(**(values | settings)))


@pytest.mark.integration
async def test_a_mail_arrives_as_it_was_written() -> None:
    async with MailServer() as server:
        assert await plain(server).send(mail(name="Zoë")) == Sent()
    (got,) = server.mails
    assert (got.sender, got.recipients) == ("blok365@contoso.example", ("ada@private.example",))
    assert LINK in text_of(got.message, "plain")
    assert LINK in text_of(got.message, "html")
    assert got.message["To"].addresses[0].display_name == "Zoë"


@pytest.mark.integration
@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("550 no such user", Failed("RCPT 550")),
        ("452 mailbox full", Later("RCPT 452")),
        ("421 closing", Later("RCPT 421")),
        ("cut", Later("SMTPServerDisconnected")),
    ],
)
async def test_what_a_mail_server_can_say(answer: str, outcome: object) -> None:
    async with MailServer(answers={"ada@private.example": answer}) as server:
        assert await plain(server).send(mail()) == outcome
        assert await plain(server).send(mail("bob@private.example")) == Sent()


@pytest.mark.integration
async def test_a_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "WHOLE", 0.3)
    async with MailServer(answers={"ada@private.example": ""}) as server:
        assert await plain(server).send(mail()) == Later("TimeoutError")


@pytest.mark.integration
async def test_a_server_that_takes_the_mail_and_hangs_up_has_taken_it() -> None:
    async with MailServer(rude=True) as server:
        assert await plain(server).send(mail()) == Sent()
    assert len(server.mails) == 1


@pytest.mark.integration
async def test_no_server_is_tried_again_later(unused_tcp_port: int) -> None:
    settings = NotifySettings(smtp_host="127.0.0.1", smtp_port=unused_tcp_port, smtp_security="none")
    assert await SmtpMailer(settings).send(mail()) == Later("SMTPConnectError")


@pytest.mark.integration
async def test_a_server_without_starttls_gets_no_mail() -> None:
    """Somebody in the middle who hides STARTTLS must not get the link."""
    async with MailServer() as server:
        outcome = await plain(server, smtp_security="starttls").send(mail())
    assert not isinstance(outcome, Sent)
    assert server.mails == []


def certificate(folder: Path, name: str = "127.0.0.1") -> tuple[ssl.SSLContext, Path]:
    """A server's TLS context, and the file by which it is trusted."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = SystemClock().now()
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(name))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    pem = made.public_bytes(Encoding.PEM)
    (folder / "server.pem").write_bytes(
        pem + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    (folder / "ca.pem").write_bytes(pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "server.pem")
    return context, folder / "ca.pem"


@pytest.mark.integration
async def test_starttls_and_authentication(tmp_path: Path) -> None:
    context, ca = certificate(tmp_path)
    (tmp_path / "password").write_text("correct horse\n")
    async with MailServer(tls=context, users={"blok365": "correct horse"}) as server:
        mailer = plain(
            server,
            smtp_security="starttls",
            smtp_ca_file=ca,
            smtp_user="blok365",
            smtp_password_file=tmp_path / "password",
        )
        assert await mailer.send(mail()) == Sent()
    (got,) = server.mails
    assert (got.encrypted, got.user) == (True, "blok365")


@pytest.mark.integration
async def test_a_wrong_password_is_our_fault_and_not_the_addresss(tmp_path: Path) -> None:
    context, ca = certificate(tmp_path)
    (tmp_path / "password").write_text("wrong")
    async with MailServer(tls=context, users={"blok365": "correct horse"}) as server:
        mailer = plain(
            server,
            smtp_security="starttls",
            smtp_ca_file=ca,
            smtp_user="blok365",
            smtp_password_file=tmp_path / "password",
        )
        assert await mailer.send(mail()) == Later("our own settings are refused: 535")


@pytest.mark.integration
@pytest.mark.parametrize("trust", [lambda ca: None, lambda ca: ca], ids=["unknown", "other-name"])
async def test_a_server_that_is_not_the_one_we_know_gets_no_mail(
    tmp_path: Path, trust: Callable[[Path], Path | None]
) -> None:
    context, ca = certificate(tmp_path, "127.0.0.2" if trust(tmp_path) else "127.0.0.1")
    async with MailServer(tls=context) as server:
        outcome = await plain(server, smtp_security="starttls", smtp_ca_file=trust(ca)).send(mail())
    assert isinstance(outcome, Later)
    assert server.mails == []


@pytest.mark.integration
async def test_an_address_beyond_ascii_goes_to_a_server_that_takes_it() -> None:
    async with MailServer() as server:
        assert await plain(server).send(mail("jörg@private.example")) == Sent()
    assert server.mails[0].recipients == ("jörg@private.example",)


@pytest.mark.integration
async def test_many_mails_at_once() -> None:
    async with MailServer() as server:
        mailer = plain(server)
        outcomes = await asyncio.gather(
            *(mailer.send(mail(f"p{n}@private.example", f"d{n}")) for n in range(30))
        )
    assert outcomes == [Sent()] * 30
    assert len({got.recipients for got in server.mails}) == 30


def test_the_times_that_we_take_fit_into_the_lease() -> None:
    from services.notify.domain.delivery import LEASE
    from services.notify.gateways import push

    assert gateway.WHOLE < LEASE.total_seconds()
    assert push.TIMEOUT.total is not None
    assert push.TIMEOUT.total < LEASE.total_seconds()
