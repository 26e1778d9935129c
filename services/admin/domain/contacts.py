"""Where a person is written to, as notify is told. Pure."""

from collections.abc import Callable

from services.admin.domain.accounts import Account
from shared.contracts.admin import AccountStatus, ContactChanged
from shared.contracts.notify import Contact, Language, contact_associated_data

Seal = Callable[[bytes, str], str]
"""Seals a secret for notify, bound to associated data."""


def contact_changed(account: Account, *, seal: Seal, language: Language) -> ContactChanged:
    """`admin.contact.changed.v1` of the account as it is. It is sealed anew each time, so no two are the same text."""
    return ContactChanged(
        version=account.version,
        account=account.id,
        sealed="" if account.status is AccountStatus.REMOVED else _sealed(account, seal, language),
    )


def same_contact(one: Account, other: Account) -> bool:
    """Whether notify would be told the same of both."""
    return _facts(one) == _facts(other)


def _facts(account: Account) -> tuple[bool, str, str, str]:
    return account.status is AccountStatus.REMOVED, account.email, account.display_name, account.upn


def _sealed(account: Account, seal: Seal, language: Language) -> str:
    contact = Contact(address=account.email, name=account.display_name, language=language, upn=account.upn)
    return seal(contact.model_dump_json().encode(), contact_associated_data(account.tenant, account.id))
