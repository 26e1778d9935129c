"""Why wsfed trusts a phone's key: the chain from the invitation that admin signed (docs/flows/enrolment.md, step 7).

approval says that a device was enrolled; that alone is worth nothing here. The invitation's key, which is on no
server, must have signed this very device key.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from shared.crypto.enrolment import NewDeviceKey, is_endorsed

GRACE = timedelta(minutes=10)
"""How late after an invitation's end its device may still arrive on the bus."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """An invitation as admin's signed event describes it. `vouched_for`: the device that it made trusted, if any."""

    id: str
    tenant: str
    account: str
    public_key: bytes
    issued_at: datetime
    expires_at: datetime
    status: Literal["open", "used", "withdrawn"]
    vouched_for: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedDevice:
    """A phone key whose chain wsfed verified itself. `removed` devices are kept as tombstones."""

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
    removed: bool = False


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


def trust_device(
    *,
    device: str,
    key: NewDeviceKey,
    endorsement: bytes,
    enrolled_at: datetime,
    invitation: Invitation,
    now: datetime,
) -> TrustedDevice:
    """The device as trusted, or Untrusted with the first thing that is wrong.

    `enrolled_at` is approval's word. After the invitation's end it is believed only if admin, too, says that
    the invitation was used (it verifies the same chain when it happens), so an expired link cannot be dated back.
    """
    if (invitation.tenant, invitation.account, invitation.id) != (key.tenant, key.account, key.invitation):
        raise Untrusted("the invitation is for somebody else")
    if invitation.status == "withdrawn":
        raise Untrusted("the invitation was withdrawn")
    if invitation.vouched_for not in (None, device):
        raise Untrusted("the invitation has vouched for another device")
    if not invitation.issued_at - GRACE <= enrolled_at <= invitation.expires_at + GRACE:
        raise Untrusted("enrolled outside the invitation's time")
    if now > invitation.expires_at + GRACE and invitation.status != "used":
        raise Untrusted("the invitation has expired unused")
    if not is_endorsed(invitation.public_key, key, endorsement):
        raise Untrusted("the invitation's key did not sign this device key")
    return TrustedDevice(
        id=device,
        tenant=key.tenant,
        account=key.account,
        public_key=key.public_key,
        credential_id=key.credential_id,
    )
