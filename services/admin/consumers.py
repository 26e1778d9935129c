"""What admin listens to."""

from functools import partial

from services.admin.ports import Dependencies
from services.admin.projections import device_enrolled
from shared.bus.port import Handlers
from shared.contracts.approval import DeviceChanged


def consumers(deps: Dependencies) -> Handlers:
    """Message to handler: the index of what admin reacts to."""
    return {
        DeviceChanged: partial(device_enrolled, deps),
    }
