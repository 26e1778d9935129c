"""A further phone, endorsed by one that the person has (docs/flows/further-phone.md). Pure.

An offer is `open` until a new phone brings its key, `taken` until the offering phone endorses that key, then `done`.
Its time ends it before, and so does signing the person out everywhere.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from services.approval.domain import enrolment
from services.approval.domain.account import Account, Change, PhoneEndorsement, require_confirmed
from services.approval.domain.ceremony import VerifiedAnswer, VerifiedKey
from shared.crypto.enrolment import NewDeviceKey
from shared.errors import Gone

LIFETIME = timedelta(minutes=10)
"""How long an offer may be taken and endorsed, by our clock."""


class OfferState(StrEnum):
    """Where an offer stands, as both phones are told."""

    OPEN = "open"
    TAKEN = "taken"
    DONE = "done"
    OVER = "over"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A phone offers to endorse one new phone. Its link has a secret that no server knows: see step 2."""

    id: str
    tenant: str
    account: str
    device: str
    """The phone that offers."""
    server_nonce: str
    """For the new phone's statement, and for the endorsement."""
    expires_at: datetime
    session_epoch: int
    """The account's when the offer was made. Under another one it is over."""
    key: VerifiedKey | None = None
    """The new phone's, once it has come. The first one counts."""
    name: str = ""
    vouched: str = ""
    """The signature of the offer's secret over the new key, base64url. The offering phone alone can check it."""
    made: str = ""
    """The device that was made."""

    def state(self, now: datetime) -> OfferState:
        """Where it stands."""
        if self.made:
            return OfferState.DONE
        if now >= self.expires_at:
            return OfferState.OVER
        return OfferState.OPEN if self.key is None else OfferState.TAKEN

    def new_key(self) -> NewDeviceKey:
        """What both phones speak of. Raises Gone while no key has come."""
        if self.key is None:
            raise gone()
        return NewDeviceKey(self.tenant, self.account, self.id, self.key.credential_id, self.key.public_key)


def take(offer: Offer, key: VerifiedKey, vouched: str, name: str, now: datetime) -> Offer | None:
    """The offer with the new phone's key; None when it has this very key. Raises Gone (over, or taken by another)."""
    if offer.key is not None and offer.key.public_key == key.public_key and offer.vouched == vouched:
        return None
    if offer.state(now) is not OfferState.OPEN:
        raise gone()
    return replace(offer, key=key, vouched=vouched, name=name)


def gone() -> Gone:
    """An offer that is over, taken, or was never made: one answer."""
    return Gone("approval.offer.over", code="offer")


def check_offering(account: Account, offer: Offer) -> None:
    """Raises Gone (signed out everywhere since), Forbidden (the offering phone does not count, the account is not to be
    used).
    """
    if account.session_epoch != offer.session_epoch:
        raise gone()
    require_confirmed(account, offer.device)
    account.check_usable()


def endorse(
    account: Account, offer: Offer, answer: VerifiedAnswer, device_id: str, now: datetime
) -> Change | None:
    """Make the new phone's device; None when it was made. It waits for admin as any other.

    Raises Gone (over), Conflict (key known), Forbidden (the endorsing phone is removed, not confirmed, replayed; too
    many phones; account not usable).
    """
    if offer.key is None or (offer.state(now) is not OfferState.TAKEN and not offer.made):
        raise gone()
    if account.device_of(offer.key.credential_id) is not None:
        return None
    check_offering(account, offer)
    used = enrolment.device_used(account, offer.device, answer) or Change(account)
    by_phone = PhoneEndorsement(offer.device, offer.id, offer.server_nonce, answer.proof)
    return used.then(
        enrolment.add_device(used.value, offer.key, device_id, offer.name, now, by_phone=by_phone)
    )
