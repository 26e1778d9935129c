"""Key files for one machine. In production each service holds its own key, and nobody holds them all."""

from shared.contracts import SERVICES
from shared.crypto.keys import make_service_keys
from shared.crypto.sealed_box import make_box_keys
from shared.crypto.vapid import make_vapid_key
from shared.ids import Ids
from shared.settings import Settings
from shared.store.sealing import make_sealing_key


def make_keys(settings: Settings, ids: Ids) -> None:
    """Make the key files that are missing."""
    make_service_keys(settings.keys, SERVICES, ids)
    make_box_keys(settings.keys, ["notify"], ids)
    make_vapid_key(settings.keys)
    for service in SERVICES:
        make_sealing_key(settings.keys / f"{service}.seal", ids)
