"""Key files for one machine. In production each service holds its own key, and nobody holds them all."""

from shared.crypto.key_file import make_key
from shared.crypto.keys import make_service_keys
from shared.crypto.sealed_box import make_box_keys
from shared.crypto.vapid import make_vapid_key
from shared.ids import Ids
from shared.services import SERVICES, Services
from shared.settings import Settings


def make_keys(settings: Settings, ids: Ids, table: Services = SERVICES) -> None:
    """Make the key files that are missing."""
    make_service_keys(settings.keys, tuple(table), ids)
    make_box_keys(settings.keys, [row.name for row in table.values() if row.opens_sealed], ids)
    make_vapid_key(settings.keys)
    for service, row in table.items():
        make_key(settings.keys / f"{service}.seal", ids)
        if row.cookies:  # its forms carry tokens that are bound to a cookie
            make_key(settings.keys / f"{service}.csrf", ids)
