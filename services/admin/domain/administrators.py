"""Administrators with their passkeys, and their sessions in the console. Pure.

What an administrator may do is not here but in the teams of tenants (`teams.py`): a passkey says who somebody is.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.contracts.notify import Language
from shared.errors import Conflict, NotFound

IDLE = timedelta(minutes=30)
LONGEST = timedelta(hours=8)
SEEN_EVERY = timedelta(minutes=1)
"""How often a request of a session is written down. A session that is idle ends up to that much earlier."""
MAX_PASSKEYS = 20
ADVISED_PASSKEYS = 2
MAX_BROWSER = 40
"""Characters of a browser in the name of a passkey, so that there is room for the time."""


@dataclass(frozen=True, slots=True)
class Passkey:
    """A passkey of an administrator on the console's own RP ID. Its registration was verified."""

    credential_id: str
    public_key: str
    """DER SubjectPublicKeyInfo, base64url."""
    name: str
    added_at: datetime
    last_used_at: datetime | None = None
    sign_count: int = 0
    backed_up: bool = False


@dataclass(frozen=True, slots=True)
class Administrator:
    """Somebody who can sign in to the console."""

    id: str
    name: str
    email: str
    passkeys: tuple[Passkey, ...]
    created_at: datetime
    language: Language | None = None
    """Of the console when they signed in last: that of the mails to them. None: not signed in since it is kept."""
    version: int = 1

    def reading(self, language: Language | None) -> "Administrator":
        """The administrator with that language of the console; with the one before when it is None."""
        return self if language is None else replace(self, language=language)

    def passkey(self, credential_id: str) -> Passkey | None:
        """The passkey with that credential id."""
        return next((each for each in self.passkeys if each.credential_id == credential_id), None)

    def default_name(self, browser: str, now: datetime) -> str:
        """The name of a further passkey that was given none: the browser's, with the time where one has it already."""
        if all(each.name != browser for each in self.passkeys):
            return browser
        return f"{browser[:MAX_BROWSER]}, {now:%Y-%m-%d %H:%M} UTC"

    def used(self, credential_id: str, sign_count: int, now: datetime) -> "Administrator":
        """The administrator after a passkey was used.

        Raises NotFound when it was removed meanwhile, Conflict when its counter did not rise (Web Authentication
        Level 3, section 7.2, step 22): a replay, or a copied key.
        """
        passkey = self._passkey(credential_id)
        if (passkey.sign_count or sign_count) and sign_count <= passkey.sign_count:
            raise Conflict("admin.console.counter")
        return self._with(replace(passkey, sign_count=sign_count, last_used_at=now))

    def with_passkey(self, passkey: Passkey) -> "Administrator":
        """The administrator with one more. Raises Conflict: enough of them, or this one is there."""
        if self.passkey(passkey.credential_id) is not None:
            raise Conflict("admin.console.passkey_exists")
        if len(self.passkeys) >= MAX_PASSKEYS:
            raise Conflict("admin.console.passkeys_enough", most=MAX_PASSKEYS)
        return replace(self, passkeys=(*self.passkeys, passkey), version=self.version + 1)

    def without_passkey(self, credential_id: str) -> "Administrator":
        """The administrator without that passkey. Raises NotFound, Conflict: it is the last one."""
        passkey = self._passkey(credential_id)
        if len(self.passkeys) == 1:
            raise Conflict("admin.console.last_passkey")
        kept = tuple(each for each in self.passkeys if each is not passkey)
        return replace(self, passkeys=kept, version=self.version + 1)

    def _passkey(self, credential_id: str) -> Passkey:
        found = self.passkey(credential_id)
        if found is None:
            raise NotFound("admin.console.no_passkey")
        return found

    def _with(self, passkey: Passkey) -> "Administrator":
        changed = tuple(
            passkey if each.credential_id == passkey.credential_id else each for each in self.passkeys
        )
        return replace(self, passkeys=changed, version=self.version + 1)


@dataclass(frozen=True, slots=True)
class ConsoleSession:
    """An administrator's session in one browser. Its secret is in the cookie only; `digest` is what is kept of it."""

    digest: str
    id: str
    """Names the session on pages."""
    administrator: str
    passkey: str
    """Credential id of the passkey that opened it: without that passkey it is over."""
    begun_at: datetime
    seen_at: datetime
    proven_at: datetime
    agent: str
    address: str

    def holds(self, now: datetime) -> bool:
        """Whether it still counts. One that began in the future, by a clock that was set back, does not."""
        return timedelta(0) <= now - self.begun_at < LONGEST and now - self.seen_at < IDLE

    @property
    def ends_at(self) -> datetime:
        """When it ends if nothing more is asked in it."""
        return min(self.begun_at + LONGEST, self.seen_at + IDLE)
