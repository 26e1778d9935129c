"""Accounts by the thousand in seconds, and yet exactly what the services write.

One account is made the real way (invited, enrolled by a phone, signed in); its documents in all databases are read,
and copies are inserted in which its ids, user name and key are exchanged for others of the same length, octet for
octet in BSON. Copied accounts share the keys of `PHONES` phones. Invitations are not copied: nothing on the path of
a sign-in reads them.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument
from cryptography.hazmat.primitives.asymmetric import ec
from pymongo import MongoClient

from deploy.bench.load_client import Owner
from deploy.standins.phone.authenticator import Key, cose_key
from services.approval.handlers.sessions import digest_of
from services.wsfed.domain.session import cookie_name, session_id
from shared.ids import Ids, b64u, new_id, new_secret, unb64u

TENANT, DOMAIN = "contoso", "contoso.example"
PHONES = 200
BATCH = 5000
ACCOUNT_PLACES = (
    "admin.accounts",
    "admin.authenticators",
    "wsfed.accounts",
    "wsfed.devices",
    "wsfed.authenticators",
    "approval.accounts",
)
ENDED_SESSIONS = "wsfed.sessions.ended"
"""The same collection as the live ones."""

Swaps = Mapping[bytes, bytes]


class NotSeeded(Exception):
    """A document is not as the copies need it; says which."""


@dataclass(frozen=True, slots=True)
class Person:
    """An account with its phone. `key.upn` and all ids have the same lengths in each."""

    key: Key
    phone_session: str
    """The token in the cookie of the phone's session."""
    browser_session: str
    """The cookie of an SSO session."""

    @property
    def cookies(self) -> dict[str, str]:
        """Of the browser that has the SSO session."""
        return {f"__Host-{cookie_name(TENANT, self.key.upn)}": self.browser_session}

    @property
    def owner(self) -> Owner:
        """The account's phone and browser, as the load client signs in with them."""
        return Owner(self.key, self.phone_session, self.cookies)

    def values(self) -> tuple[bytes, ...]:
        """The values in which two accounts' documents differ, always in the same order."""
        key = self.key
        return (
            key.account.encode(),
            unb64u(key.account).hex().encode(),  # the ImmutableID is made of it
            key.device.encode(),
            key.credential_id.encode(),
            key.upn.encode(),
            key.spki,
            b64u(key.spki).encode(),
            b64u(hashlib.sha256(key.spki).digest()).encode(),
            cose_key(key.private_key),
            digest_of(self.phone_session).encode(),
            session_id(self.browser_session).encode(),
        )


def user_name(number: int) -> str:
    """The user name of that number. All have the same length, so that documents can be copied octet by octet."""
    return f"person.{number:07d}@{DOMAIN}"


def swapped(template: bytes, before: tuple[bytes, ...], after: tuple[bytes, ...]) -> bytes:
    """The document with other values. Lengths stay, so BSON's own length fields stay true. Raises NotSeeded."""
    made = template
    for old, new in zip(before, after, strict=True):
        if len(old) != len(new):
            raise NotSeeded(f"{len(old)} octets cannot become {len(new)}: {old[:40]!r}")
        made = made.replace(old, new)
    return made


@dataclass
class Copies:
    """Copies of `original`, whose documents are read at once. Blocks: use a thread. Raises NotSeeded."""

    client: "MongoClient[dict[str, Any]]"
    prefix: str
    original: Person
    ids: Ids
    people: list[Person] = field(default_factory=list)
    used: int = 0
    """How many accounts were handed out by `next_owners`."""
    _templates: dict[str, bytes] = field(default_factory=dict)
    _keys: list[ec.EllipticCurvePrivateKey] = field(default_factory=list)
    _with_phone: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(PHONES)]
        key = self.original.key
        self._read("admin.accounts", key.account)
        self._read("wsfed.accounts", f"{TENANT}/{key.account}")
        for place in ("admin.authenticators", "wsfed.devices", "wsfed.authenticators"):
            self._read(place, f"{TENANT}/{key.device}")
        # as it was before its first sign-in
        self._read("approval.accounts", f"{TENANT}/{key.account}", challenges={}, pushes_unknown=[])
        self._read("approval.sessions", digest_of(self.original.phone_session))
        session = self._read("wsfed.sessions", session_id(self.original.browser_session), issued=[])
        begun = session["authentication"]["authenticated_at"]
        self._templates[ENDED_SESSIONS] = bson.encode({**session, "ends_at": begun, "idle_ends_at": begun})

    def seed(self, total: int) -> None:
        """Copy accounts until there are `total` beside the original."""
        fresh = [self._person(number) for number in range(len(self.people), total)]
        for place in ACCOUNT_PLACES:
            self._insert(place, fresh)
        self.people += fresh

    def next_owners(self, count: int) -> list[Owner]:
        """The next accounts, spread over all, each once before any comes again.

        Each has a phone that has a session, and a browser that is known by a session that is over.
        """
        chosen = [self.people[spread(self.used + n, len(self.people))] for n in range(count)]
        self.used += count
        fresh = {p.key.account: p for p in chosen if p.key.account not in self._with_phone}
        self._insert("approval.sessions", fresh.values())
        self._with_phone.update(fresh)
        # A sign-in forgets the browser's session before it: who comes again gets it again.
        self._insert(ENDED_SESSIONS, {p.key.account: p for p in chosen}.values())
        return [person.owner for person in chosen]

    def browsers(self, count: int) -> list[tuple[str, dict[str, str]]]:
        """User name and cookies of so many browsers, each with an SSO session of another account."""
        if count > len(self.people):
            raise NotSeeded(f"{count} browsers need as many accounts")
        chosen = self.people[:count]
        self._insert("wsfed.sessions", chosen)
        return [(p.key.upn, p.cookies) for p in chosen]

    def _person(self, number: int) -> Person:
        like = self.original.key
        key = Key(
            credential_id=b64u(self.ids.random_bytes(32)),
            private_key=self._keys[number % PHONES],
            origin=like.origin,
            rp_id=like.rp_id,
            tenant=like.tenant,
            account=new_id(self.ids),
            upn=user_name(number),
            device=new_id(self.ids),
        )
        return Person(key, new_secret(self.ids), new_secret(self.ids))

    def _read(self, place: str, document_id: str, **other: object) -> dict[str, Any]:
        service, collection = place.split(".")
        found = self.client[f"{self.prefix}_{service}"][collection].find_one({"_id": document_id})
        if found is None:
            raise NotSeeded(f"{place}: the original's document is not there")
        found.pop("outbox", None)
        if missing := other.keys() - found.keys():
            raise NotSeeded(f"{place}: no {missing}")
        self._templates[place] = bson.encode(found | other)
        return found | other

    def _insert(self, place: str, people: Iterable[Person]) -> None:
        service, collection = place.split(".")[:2]
        into = self.client[f"{self.prefix}_{service}"][collection]
        template, before = self._templates[place], self.original.values()
        batch: list[Any] = []
        for person in people:
            batch.append(RawBSONDocument(swapped(template, before, person.values())))
            if len(batch) == BATCH:
                into.insert_many(batch, ordered=False)
                batch = []
        if batch:
            into.insert_many(batch, ordered=False)


def spread(turn: int, total: int) -> int:
    """The `turn`-th account out of `total`: every account once in `total` turns, far from the one before."""
    stride = int(total * 0.618034) | 1
    while stride > 1 and _common(stride, total) > 1:
        stride += 2
    return turn * stride % total


def _common(a: int, b: int) -> int:
    while b:
        a, b = b, a % b
    return a
