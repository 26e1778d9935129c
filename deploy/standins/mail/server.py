"""The server. One object, one port, all mails in memory."""

import asyncio
import base64
import contextlib
import re
import ssl
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Self

MAX_MAIL = 1024 * 1024
_PATH = re.compile(r"(?:FROM|TO):<([^<>]*)>.*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail as it arrived."""

    sender: str
    recipients: tuple[str, ...]
    octets: bytes
    encrypted: bool
    user: str

    @property
    def message(self) -> EmailMessage:
        """The mail, parsed."""
        parsed = message_from_bytes(self.octets, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        return parsed


@dataclass
class MailServer:
    """`async with MailServer() as server:` listens on 127.0.0.1 at `server.port`.

    `answers`: reply to RCPT by address, e.g. `{"ada@x.example": "550 no such user"}`; an empty text means to say
    nothing at all, `cut` hangs up. `users`: name to password; with them AUTH is asked for.
    """

    tls: ssl.SSLContext | None = None
    users: dict[str, str] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
    mails: list[Mail] = field(default_factory=list)
    attempts: list[str] = field(default_factory=list)
    """Addresses of all RCPT commands."""
    rude: bool = False
    """Whether the server hangs up on QUIT instead of answering."""
    port: int = 0
    _server: asyncio.Server | None = None
    _talks: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._begin, "127.0.0.1", 0, limit=MAX_MAIL)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for talk in list(self._talks):
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    async def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await _Talk(self, reader, writer).run()
        finally:
            self._talks.discard(task)
            writer.close()


class _Talk:
    def __init__(
        self, server: MailServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.server = server
        self.reader = reader
        self.writer = writer
        self.encrypted = False
        self.user = ""
        self.sender: str | None = None
        self.recipients: list[str] = []

    async def say(self, *lines: str) -> None:
        for line in lines:
            self.writer.write(line.encode() + b"\r\n")
        await self.writer.drain()

    async def run(self) -> None:
        await self.say("220 standin.example ESMTP")
        while line := await self.reader.readline():
            verb, _, rest = line.decode("utf-8", "replace").rstrip("\r\n").partition(" ")
            if not await self._obey(verb.upper(), rest):
                return

    async def _obey(self, verb: str, rest: str) -> bool:
        """Obey one command; False when the conversation is over."""
        match verb:
            case "EHLO":
                offers = ["SIZE 1048576", "8BITMIME", "SMTPUTF8"]
                if self.server.tls is not None:
                    offers.append("AUTH PLAIN" if self.encrypted else "STARTTLS")
                await self.say("250-standin.example", *(f"250-{o}" for o in offers[:-1]), f"250 {offers[-1]}")
            case "STARTTLS" if self.server.tls is not None and not self.encrypted:
                await self.say("220 go ahead")
                await self.writer.start_tls(self.server.tls)
                self.encrypted = True
            case "AUTH":
                await self._authenticate(rest)
            case "MAIL" if self.server.users and not self.user:
                await self.say("530 authentication required")
            case "MAIL" if (path := _PATH.match(rest)) is not None:
                self.sender, self.recipients = path[1], []
                await self.say("250 ok")
            case "RCPT" if self.sender is not None and (path := _PATH.match(rest)) is not None:
                return await self._recipient(path[1])
            case "DATA" if self.recipients:
                await self._data()
            case "RSET" | "NOOP":
                self.sender, self.recipients = None, []
                await self.say("250 ok")
            case "QUIT":
                if not self.server.rude:
                    await self.say("221 bye")
                return False
            case _:
                await self.say("503 not now")
        return True

    async def _authenticate(self, rest: str) -> None:
        mechanism, _, response = rest.partition(" ")
        _, name, password = base64.b64decode(response).decode().split("\0")
        good = mechanism == "PLAIN" and self.encrypted and self.server.users.get(name) == password
        self.user = name if good else ""
        await self.say("235 welcome" if good else "535 no")

    async def _recipient(self, address: str) -> bool:
        self.server.attempts.append(address)
        answer = self.server.answers.get(address, "250 ok")
        if not answer:
            await asyncio.Event().wait()
        if answer == "cut":
            return False
        if answer.startswith("250"):
            self.recipients.append(address)
        await self.say(answer)
        return True

    async def _data(self) -> None:
        await self.say("354 go on")
        octets = await self.reader.readuntil(b"\r\n.\r\n")
        text = octets[: -len(b".\r\n")].replace(b"\r\n..", b"\r\n.")
        assert self.sender is not None
        self.server.mails.append(Mail(self.sender, tuple(self.recipients), text, self.encrypted, self.user))
        self.sender, self.recipients = None, []
        await self.say("250 taken")
