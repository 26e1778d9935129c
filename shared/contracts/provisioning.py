"""Messages that provisioning owns: a tenant's connection to its Entra directory, and what became of each person there.

What the connection signs in with is sealed for provisioning (`shared/crypto/sealed_box.py`): it is in no message, log
or database but sealed. The model of what is sealed is here too, because admin writes it and provisioning reads it.
"""

from datetime import timedelta
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from shared.contracts import Command, StateEvent
from shared.contracts.notify import MAX_SEALED
from shared.contracts.state import PullState, StatePulled

MAX_ID = 64
MAX_WORDS = 500
GUID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
Guid = Annotated[str, Field(pattern=GUID)]

WhenSuspended = Literal["disable", "keep"]
"""What becomes of a suspended person's user in Entra: it is disabled, or left as it is."""
WhenRemoved = Literal["delete", "disable", "keep"]
"""What becomes of a removed person's user. Entra keeps a deleted one for 30 days."""


class ConnectionSecrets(BaseModel):
    """What the registered application signs in to Entra with. Sealed with `connection_associated_data`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    client_id: Guid
    """Application (client) ID."""
    tenant_domain: str = Field(min_length=3, max_length=253, pattern=r"^[a-z0-9.-]+$")
    """A verified domain of the directory, or its id: it stands in the path of the token endpoint."""
    client_secret: str = Field(default="", max_length=512, repr=False)
    """The secret's value; empty with a certificate."""
    certificate: str = Field(default="", max_length=8192)
    """PEM; its public key is registered with the application."""
    private_key: str = Field(default="", max_length=8192, repr=False)
    """PEM (PKCS8), not encrypted."""

    @model_validator(mode="after")
    def _has_one_credential(self) -> Self:
        if bool(self.client_secret) is bool(self.certificate) or bool(self.certificate) is not bool(
            self.private_key
        ):
            raise ValueError("a secret, or a certificate with its key")
        return self


class SetConnection(Command):
    """Replace the settings of the tenant's connection."""

    TYPE: ClassVar[str] = "provisioning.connection.set.v1"
    SENDERS: ClassVar[frozenset[str]] = frozenset({"admin"})
    MAX_AGE: ClassVar[timedelta | None] = timedelta(days=1)
    revision: int = Field(ge=1, le=2**31 - 1)
    """admin counts them: only a higher one than is in force counts, so a late copy of an older one changes nothing."""
    enabled: bool
    when_suspended: WhenSuspended = "disable"
    when_removed: WhenRemoved = "delete"
    sealed: str = Field(default="", max_length=2 * MAX_SEALED)
    """`ConnectionSecrets` as JSON, sealed for provisioning; empty: those in force stay."""
    secret_ends_at: AwareDatetime | None = None
    """When the client secret ends, as the administrator read it in Entra: nobody else tells. None: with new secrets it
    is not known; with those in force, what is known of it stays. A certificate says it itself."""


class CheckConnection(Command):
    """Sign in to Entra and find out which permissions are there. The answer is `ConnectionChanged.checked`."""

    TYPE: ClassVar[str] = "provisioning.connection.check.v1"
    SENDERS: ClassVar[frozenset[str]] = frozenset({"admin"})
    check: str = Field(max_length=MAX_ID)
    """Chosen by admin; the same again is one check."""


class RetryPerson(Command):
    """An administrator pressed "Try again" for a person whose job has failed."""

    TYPE: ClassVar[str] = "provisioning.person.retry.v1"
    SENDERS: ClassVar[frozenset[str]] = frozenset({"admin"})
    account: str = Field(max_length=MAX_ID)
    version: int = Field(ge=1)
    """The version of `PersonChanged` that the administrator saw: the command is about that failure only."""


class Fault(BaseModel):
    """Why a job or a connection does not get on."""

    model_config = ConfigDict(frozen=True)
    key: str = Field(max_length=40)
    """What it means and what to do: `shared.directory.explanation`. One of `FaultKey`, or of a later release's."""
    code: str = Field(default="", max_length=120)
    """Microsoft's code, such as `AADSTS7000215` or `Request_BadRequest`."""
    words: str = Field(default="", max_length=MAX_WORDS)
    """Microsoft's own words, one line."""
    request_id: str = Field(default="", max_length=MAX_ID)
    """Microsoft's `request-id` (Graph) or `trace_id` (sign-in), to be named to its support."""
    at: AwareDatetime


class Permission(BaseModel):
    """One application permission, as a check of the connection found it (docs/entra-permissions.md)."""

    model_config = ConfigDict(frozen=True)
    name: str = Field(max_length=80)
    granted: bool | None
    """None: it could not be found out."""


class Licence(BaseModel):
    """A subscribed SKU of the directory."""

    model_config = ConfigDict(frozen=True)
    sku: Guid
    name: str = Field(max_length=120)
    """Microsoft's skuPartNumber, such as `SPE_F1`."""
    left: int
    """Units that are enabled and not assigned."""


class Checked(BaseModel):
    """What a check of the connection found."""

    model_config = ConfigDict(frozen=True)
    check: str = Field(max_length=MAX_ID)
    at: AwareDatetime
    fault: Fault | None = None
    """Why it could not sign in; None when it could."""
    permissions: tuple[Permission, ...] = ()
    domains: tuple[str, ...] = ()
    """Verified domains of the directory; empty without the permission to read them."""
    licences: tuple[Licence, ...] = ()


ConnectionState = Literal["off", "ready", "failed"]
EndsWithin = Literal[0, 1, 7, 30]
"""Days before the end of a credential at which it is warned of. 0: it has ended."""


class Progress(BaseModel):
    """How many people of the tenant are in the directory as they are to be. Counted every 10 s at most."""

    model_config = ConfigDict(frozen=True)
    waiting: int = Field(ge=0)
    """Jobs that are not begun, under way, or to be tried again."""
    done: int = Field(ge=0)
    failed: int = Field(ge=0)
    """Jobs that go on only when somebody does something about them."""
    at: AwareDatetime
    """When they were counted."""
    seconds_left: int | None = Field(default=None, ge=0)
    """In how many seconds nothing waits any more, if it goes on as in the last minutes. None: not known, or nothing
    waits."""

    @property
    def people(self) -> int:
        """All of them."""
        return self.waiting + self.done + self.failed


class ConnectionChanged(StateEvent):
    """The whole state of a tenant's connection, without what it signs in with."""

    TYPE: ClassVar[str] = "provisioning.connection.changed.v1"
    READERS: ClassVar[frozenset[str]] = frozenset({"admin"})
    revision: int
    """The highest `SetConnection.revision` that was taken."""
    state: ConnectionState
    """`failed`: Entra refuses the whole connection, and nobody's job goes on. It is tried again by itself."""
    when_suspended: WhenSuspended
    when_removed: WhenRemoved
    client_id: str = ""
    tenant_domain: str = ""
    credential: Literal["", "secret", "certificate"] = ""
    credential_ends: AwareDatetime | None = None
    """When the certificate, or the secret, ends: a secret's end is known only where an administrator has named it."""
    ends_within: EndsWithin | None = None
    """The credential ends within so many days: said anew as each of them is reached, so that whoever follows can warn
    once for each. None: it ends later, or its end is not known."""
    progress: Progress | None = None
    """None until people were counted for the first time."""
    fault: Fault | None = None
    checked: Checked | None = None


PersonState = Literal["waiting", "working", "done", "failed"]


class PersonChanged(StateEvent):
    """What became of one account in the directory."""

    TYPE: ClassVar[str] = "provisioning.person.changed.v1"
    READERS: ClassVar[frozenset[str]] = frozenset({"admin"})
    account: str
    state: PersonState
    """`waiting`: not begun. `working`: begun, and something transient keeps it from being done. `done`: the directory
    is as the account is. `failed`: it goes on only when the account or the connection changes or somebody presses
    "Try again"."""
    object_id: str = ""
    """The user's object id in Entra; empty when there is none."""
    step: str = ""
    """The step that is under way or failed."""
    fault: Fault | None = None
    request_id: str = ""
    """Microsoft's id of the last answer."""
    at: AwareDatetime
    """Since when it has stood so."""
    holds_directory_role: bool | None = None
    """Whether the user held an administrator role in Entra when provisioning last had something to do for the person.
    None: not known, as without the permission to read it."""


class ProvisioningPullState(PullState):
    """A follower asks provisioning for the connections and persons that have changed."""

    TYPE: ClassVar[str] = "provisioning.state.pull.v1"
    SENDERS: ClassVar[frozenset[str]] = frozenset({"admin"})


class ProvisioningStatePulled(StatePulled):
    """A page of connections and persons."""

    TYPE: ClassVar[str] = "provisioning.state.pulled.v1"
    READERS: ClassVar[frozenset[str]] = frozenset({"admin"})


def connection_associated_data(tenant: str, revision: int) -> str:
    """The associated data that a connection's sealed secrets are bound to."""
    return f"{SetConnection.TYPE}/{tenant}/{revision}"
