"""Why wsfed takes a phone's key for one that counts (docs/flows/enrolment.md, steps 7 and 8). Two things together:

- the chain: the key of an invitation, which admin signed and whose secret is on no server, has signed this very key;
  or a phone of the same person has, whose own chain holds (docs/flows/further-phone.md);
- admin's decision that the authenticator with this id, account, credential and key is trusted.

approval brings the first and cannot make it up; admin brings the second and cannot sign for the phone. Either may come
first. No clock but admin's takes part, and nothing that approval says of itself.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from shared.contracts.admin import AuthenticatorStatus
from shared.contracts.approval import Endorsement
from shared.crypto.assertion import InvalidAssertion
from shared.crypto.endorsement import verify_endorsement
from shared.crypto.enrolment import NewDeviceKey, is_endorsed
from shared.ids import b64u


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """An invitation as admin's signed event describes it: the root of a new key's chain. Its key never changes.

    Whether it was open when a device came with it, admin decides.
    """

    id: str
    tenant: str
    account: str
    public_key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class EndorsedDevice:
    """A phone key whose chain wsfed verified itself. By that alone it does not count."""

    id: str
    tenant: str
    account: str
    public_key: bytes
    """The public key as DER SubjectPublicKeyInfo."""
    credential_id: str = ""
    """The WebAuthn credential id, base64url, endorsed together with the key. It never changes. Empty in documents
    that were written before credential ids were kept.
    """
    sign_count: int = 0
    """The highest signature counter that wsfed saw, from passkeys on the sign-in page. 0 means that it saw none yet,
    or that the key has no counter.
    """
    name: str = ""
    """What it calls itself. Not verified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedDevice(EndorsedDevice):
    """A phone key that counts: its chain holds, admin's decision is `trusted`, and wsfed has said that it counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Admin's decision on one authenticator."""

    authenticator: str
    account: str
    credential_id: str
    key_sha256: str
    status: AuthenticatorStatus
    not_after: datetime | None = None


class Standing(Enum):
    """Whether a device counts."""

    TRUSTED = auto()
    WAITING = auto()
    """Its chain or admin's decision is not here yet."""
    ENDED = auto()
    """It never will: refused, revoked, over, or the decision is about another key."""


@dataclass(frozen=True, slots=True)
class AddedDevice:
    """A device as its person is told of it."""

    id: str
    name: str
    """What it calls itself. Not verified."""
    accepted_at: datetime
    """When it first counted here, by wsfed's clock: approval's word could date it back."""


class Untrusted(Exception):
    """The key's chain does not hold. The text is for the operator."""


def verify_chain(
    *, device: str, key: NewDeviceKey, endorsement: bytes, invitation: Invitation
) -> EndorsedDevice:
    """The device as endorsed, or Untrusted with the first thing that is wrong."""
    if (invitation.tenant, invitation.account, invitation.id) != (key.tenant, key.account, key.invitation):
        raise Untrusted("the invitation is for somebody else")
    if not is_endorsed(invitation.public_key, key, endorsement):
        raise Untrusted("the invitation's key did not sign this device key")
    return EndorsedDevice(
        id=device,
        tenant=key.tenant,
        account=key.account,
        public_key=key.public_key,
        credential_id=key.credential_id,
    )


def verify_endorsed(
    *,
    device: str,
    key: NewDeviceKey,
    endorsement: Endorsement,
    endorser: EndorsedDevice,
    origins: frozenset[str],
    rp_id: str,
) -> EndorsedDevice:
    """The device as endorsed by another phone of the same person, or Untrusted with the first thing that is wrong.

    The endorser's own chain was verified when it was kept. Not verified: that it still counted then. That admin
    decides, and no later removal of it takes anything from this device.
    """
    if (endorser.tenant, endorser.account, endorser.id) != (key.tenant, key.account, endorsement.by):
        raise Untrusted("the endorsing phone is somebody else's")
    try:
        verify_endorsement(endorsement, key, endorser_key=endorser.public_key, origins=origins, rp_id=rp_id)
    except (InvalidAssertion, ValueError) as error:
        raise Untrusted(f"the phone did not endorse this device key: {error}") from error
    return EndorsedDevice(
        id=device,
        tenant=key.tenant,
        account=key.account,
        public_key=key.public_key,
        credential_id=key.credential_id,
    )


def key_hash(public_key: bytes) -> str:
    """SHA-256 of a public key (DER SubjectPublicKeyInfo), base64url, as admin's decisions name it."""
    return b64u(hashlib.sha256(public_key).digest())


def standing(
    device: EndorsedDevice, decisions: Sequence[Decision], *, now: datetime, without_decision: bool = False
) -> Standing:
    """Whether the device counts. `decisions`: of its tenant and account, on this id, and every `revoked` one on its
    credential id or key. `without_decision`: it may count before admin has decided (see `trust_without_decision`).

    A revoked key is dead under every id, because the id is the choice of the service that announces it. A refused one
    is refused under its own id only: otherwise whoever holds an old link could end the key of somebody who is trusted.
    """
    key = (device.account, device.credential_id, key_hash(device.public_key))
    own = [each for each in decisions if each.authenticator == device.id]
    if any(each.status is AuthenticatorStatus.REVOKED for each in decisions):
        return Standing.ENDED
    if not own:
        return Standing.TRUSTED if without_decision else Standing.WAITING
    for decision in own:
        if (decision.account, decision.credential_id, decision.key_sha256) != key:
            return Standing.ENDED
        if decision.status is not AuthenticatorStatus.TRUSTED:
            return Standing.ENDED
        if decision.not_after is not None and now >= decision.not_after:
            return Standing.ENDED
    return Standing.TRUSTED
