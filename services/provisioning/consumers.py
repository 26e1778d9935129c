"""The table from message to handler: everything that provisioning reacts to."""

from functools import partial

from services.provisioning import projections
from services.provisioning.handlers import check_asked, connection_set, retry_person
from services.provisioning.ports import Dependencies
from shared.bus.port import Handlers
from shared.contracts.admin import AccountChanged, AuthenticatorChanged, ProfileChanged, TenantConfigured
from shared.contracts.provisioning import CheckConnection, RetryPerson, SetConnection


def consumers(deps: Dependencies) -> Handlers:
    """The table, with the dependencies bound to each handler."""
    return {
        TenantConfigured: partial(projections.tenant_configured, deps),
        AccountChanged: partial(projections.account_changed, deps),
        ProfileChanged: partial(projections.profile_changed, deps),
        AuthenticatorChanged: partial(projections.authenticator_changed, deps),
        SetConnection: partial(connection_set, deps),
        CheckConnection: partial(check_asked, deps),
        RetryPerson: partial(retry_person, deps),
    }
