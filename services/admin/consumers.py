"""What admin listens to."""

from functools import partial

from services.admin import handlers
from services.admin.handlers import Admin
from shared.bus.port import Handlers
from shared.contracts.approval import DeviceChanged


def consumers(admin: Admin) -> Handlers:
    """Message: handler. The index of what admin reacts to."""
    return {
        DeviceChanged: partial(handlers.device_enrolled, admin),
    }
