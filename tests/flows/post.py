"""notify beside a flow, with a push service and a mail folder."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from deploy.standins.push.app import PushService
from services.notify import app as notify_app
from services.notify.config import NotifySettings
from services.notify.ports import Dependencies
from tests.flows.support import ADA, Flow, Phone
from tests.notify.support import delivery_loops, said


@dataclass
class Post:
    """A flow with notify, a push service and a mail folder."""

    flow: Flow
    notify: Dependencies
    service: PushService
    folder: Path

    async def settle(self) -> None:
        """Until every message was carried, those too that had no slot when they came: a round finds them."""
        for _ in range(3):
            await self.flow.world.settle()
            for loop in delivery_loops(self.notify):
                await loop.idle()
                await loop.round()
                await loop.idle()

    async def subscribed(self, phone: Phone) -> str:
        """Steps 1 and 2; the subscription's name at the push service."""
        made = self.service.subscribe(await phone.push_key())
        await phone.subscribe(made)
        return str(made["endpoint"]).rpartition("/")[2]

    def mails(self, kind: str = "*") -> list[EmailMessage]:
        """What is in the folder: `invitation`, `device_added`."""
        found = [
            message_from_bytes(f.read_bytes(), policy=policy.default)
            for f in sorted(self.folder.glob(f"*.{kind}.eml"))
        ]
        return [each for each in found if isinstance(each, EmailMessage)]

    def told(self, name: str) -> list[str]:
        """The kinds of what was pushed to that subscription."""
        return [said(got.plaintext)["kind"] for got in self.service.messages[name]]

    def deliveries(self) -> list[dict[str, Any]]:
        return self.flow.world.documents("notify", "deliveries")

    def account(self) -> dict[str, Any]:
        """Ada's document at approval."""
        (found,) = (d for d in self.flow.world.documents("approval", "accounts") if d["upn"] == ADA)
        return found


async def with_notify(flow: Flow, folder: Path, service: PushService) -> AsyncIterator[Post]:
    """notify with that push service, at work until the iterator goes on."""
    settings = NotifySettings(
        mail_folder=folder / "mail",
        push_local=(service.origin.removeprefix("http://"),),
        contact="mailto:ops@contoso.example",
    )
    wired = notify_app.build(flow.world.platform, settings)

    await flow.world.begin(wired.service)
    await flow.world.current()
    yield Post(flow, wired.dependencies, service, folder / "mail")
    for step in wired.service.on_stop:
        await step()
