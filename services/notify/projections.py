"""What admin says of tenants and of where people are written to, kept as projections."""

from pydantic import ValidationError

from services.notify.ports import Dependencies
from shared.bus.port import Reject
from shared.contracts.admin import ContactChanged, TenantConfigured
from shared.contracts.envelope import VerifiedMessage
from shared.contracts.notify import Contact, contact_associated_data
from shared.crypto.sealed_box import CannotOpen


async def tenant_configured(deps: Dependencies, received: VerifiedMessage[TenantConfigured]) -> None:
    """Keep the tenant's name, which notices say."""
    await deps.tenants.keep(received)


async def contact_changed(deps: Dependencies, received: VerifiedMessage[ContactChanged]) -> None:
    """Keep where the person is written to; an address that it replaces is written to for 30 days more.

    Raises Reject for what does not open or is no contact, without what it says.
    """
    news = received.message
    contact = None
    if news.sealed:
        # `from None`: pydantic's exceptions quote the values that they refuse, and those would reach the log.
        try:
            associated_data = contact_associated_data(received.tenant, news.account)
            contact = Contact.model_validate_json(deps.opener.open(news.sealed, associated_data))
        except CannotOpen as error:
            raise Reject(str(error)) from None
        except ValidationError as error:
            raise Reject(f"not a contact: {error.error_count()} faults") from None
    await deps.contacts.keep(received, contact)
