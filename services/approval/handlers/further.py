"""A further phone (docs/flows/further-phone.md, steps 1 to 5)."""

from dataclasses import replace

from services.approval.domain import ceremony, further
from services.approval.domain.account import require_confirmed
from services.approval.domain.further import LIFETIME, Offer, OfferState
from services.approval.handlers.enrolment import Begun, tidy_name, user_handle
from services.approval.handlers.sessions import SignedIn
from services.approval.ports import Ceremony, Dependencies
from shared.crypto.statement import Purpose, made_within
from shared.errors import Conflict, Forbidden, Unavailable
from shared.ids import new_id, new_secret
from shared.store.aggregate import NotUnique


async def offer(deps: Dependencies, who: SignedIn) -> Offer:
    """Step 1: this phone offers to endorse one new phone. Raises Forbidden (not confirmed yet), Unavailable."""
    _require_admin(deps)
    require_confirmed(who.account, who.session.device)
    made = Offer(
        id=new_id(deps.ids),
        tenant=who.account.tenant,
        account=who.account.id,
        device=who.session.device,
        server_nonce=new_secret(deps.ids),
        expires_at=deps.clock.now() + LIFETIME,
        session_epoch=who.account.session_epoch,
    )
    await deps.offers.add(made)
    return made


async def begin(deps: Dependencies, offer_id: str) -> Begun:
    """Step 2: what the new phone needs to make its key. Nothing is spent. Raises Gone, Unavailable."""
    _require_admin(deps)
    found = await deps.offers.find(offer_id)
    if found is None or found.state(deps.clock.now()) is not OfferState.OPEN:
        raise further.gone()
    stored = await deps.accounts.load(found.tenant, found.account)
    if stored is None:
        raise further.gone()
    account = stored.value
    further.check_offering(account, found)
    return Begun(
        ceremony=Ceremony(
            id=found.id,
            purpose=Purpose.ENROL,
            server_nonce=found.server_nonce,
            expires_at=found.expires_at,
            tenant=found.tenant,
            account=found.account,
        ),
        upn=account.upn,
        display_name=account.display_name,
        organisation=await deps.tenants.name(account.tenant) or account.tenant,
        user_handle=user_handle(account),
        exclude=tuple(d.credential_id for d in account.devices.values() if d.active),
    )


async def take(
    deps: Dependencies, offer_id: str, statement: str, raw_credential: object, vouched: str, name: str
) -> None:
    """Step 3: the new phone brings its key. The first one counts; the same again changes nothing.

    `vouched`: the signature of the offer's secret, which only the offering phone can check. Raises Gone, Forbidden.
    """
    credential = ceremony.registration(raw_credential)
    found = await deps.offers.find(offer_id)
    if found is None:
        raise further.gone()
    said = ceremony.stated(statement, purpose=Purpose.ENROL, server_nonce=found.server_nonce, rp=deps.rp)
    key = ceremony.verify_registration(
        credential, challenge=said.digest(), rp=replace(deps.rp, origins=(said.origin,))
    )
    now = deps.clock.now()
    await deps.offers.change(
        offer_id, lambda before: further.take(before, key, vouched, tidy_name(name), now)
    )


async def own_offer(deps: Dependencies, who: SignedIn, offer_id: str) -> Offer:
    """The offer, for the phone that made it. Raises Gone, also for anybody else's."""
    found = await deps.offers.find(offer_id)
    mine = (who.account.tenant, who.account.id, who.session.device)
    if found is None or (found.tenant, found.account, found.device) != mine:
        raise further.gone()
    return found


async def state(deps: Dependencies, offer_id: str) -> OfferState:
    """Where an offer stands, for the new phone. One that was never made is over."""
    found = await deps.offers.find(offer_id)
    return OfferState.OVER if found is None else found.state(deps.clock.now())


async def endorse(
    deps: Dependencies, who: SignedIn, offer_id: str, statement: str, raw_credential: object
) -> str:
    """Step 5: the offering phone has signed the new key: the device is made, and told to all. Its id.

    Raises Gone (over, somebody else's), Forbidden (statement, assertion, phone, account), Conflict (key known).
    """
    credential = ceremony.assertion(raw_credential)
    found = await own_offer(deps, who, offer_id)
    if found.made:
        return found.made
    phone = require_confirmed(who.account, who.session.device)
    if credential.id != phone.credential_id:
        raise Forbidden("approval.assertion.unverified", code="assertion")
    new = found.new_key()
    said = ceremony.stated(
        statement,
        purpose=Purpose.ENDORSE,
        server_nonce=found.server_nonce,
        rp=deps.rp,
        new_key=new.digest(),
    )
    now = deps.clock.now()
    try:
        if not made_within(said, now, LIFETIME):
            raise Forbidden("approval.statement.clock", code="clock")
    except ValueError as error:
        raise Forbidden("approval.statement.unexpected", code="statement") from error
    answer = ceremony.verify_stated(credential, said, cose_key=phone.cose_key)
    device_id = new_id(deps.ids)
    try:
        changed = await deps.accounts.change(
            found.tenant,
            found.account,
            lambda account: further.endorse(account, found, answer, device_id, now),
            first=who.stored,
        )
    except NotUnique as error:
        raise Conflict("approval.credential.enrolled", code="credential") from error
    if changed is None:  # the same request was faster, or the account has the key already
        stored = await deps.accounts.load(found.tenant, found.account)
        made = None if stored is None else stored.value.device_of(new.credential_id)
        if made is None or made.by_phone is None or made.by_phone.offer != found.id:
            raise Conflict("approval.credential.enrolled", code="credential")
        device_id = made.id
    await deps.offers.change(offer_id, lambda before: replace(before, made=device_id))
    return device_id


def _require_admin(deps: Dependencies) -> None:
    """Nobody could decide on the new key otherwise. Raises Unavailable."""
    if not deps.fresh("admin"):
        raise Unavailable("approval.enrolment.admin_away")
