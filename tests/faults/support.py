"""A system of processes to break: replicas behind the router, MongoDB, RabbitMQ, people with phones."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from pymongo import AsyncMongoClient

from deploy.local import tenant
from deploy.local.backing import BackingService
from deploy.local.backing.port import free_port
from deploy.local.browser import Browser, Form
from deploy.local.cluster import Cluster, OfReplica, Replica
from deploy.local.platform import make_keys
from deploy.local.running_system import RunningSystem, many_processes
from deploy.local.settings import local_settings
from deploy.standins.entra.requests import PendingRequest, passive_fields, remember, to_url
from deploy.standins.entra.settings import Settings as EntraSettings
from deploy.standins.entra.verify import (
    Directory,
    Federations,
    ReplayMemory,
    SignedInUser,
    verify_response,
)
from deploy.standins.phone.phone import PhoneError, SoftPhone
from services.admin import handlers as admin
from services.admin.domain.accounts import Account
from services.admin.handlers import NewAccount
from shared.contracts.admin import AccountStatus
from shared.ids import SystemIds
from shared.services import SERVICES
from shared.testing.waiting import eventually
from tests.faults.sign_in import (
    STEPS,
    Document,
    Person,
    SignIn,
    away,
    lead_to,
    stream,
    until_state,
)

__all__ = [
    "AWAY",
    "ONE_EACH",
    "STEPS",
    "TENANT",
    "FaultSystem",
    "Person",
    "SignIn",
    "away",
    "fault_system",
    "lead_to",
    "stream",
    "until_state",
]

ONE_EACH = dict.fromkeys(SERVICES, 1)
AWAY = 20.0
"""Seconds, of the one real absence of a part. The others end as soon as somebody has noticed."""
TENANT, DOMAIN = tenant.TENANT, tenant.DOMAIN
IDS = SystemIds()
P = TypeVar("P", bound=BackingService)


@dataclass
class FaultSystem:
    """The running system and what a test needs to look behind it."""

    running_system: RunningSystem
    cluster: Cluster
    mongo: AsyncMongoClient[Document]
    folder: Path
    stack: AsyncExitStack
    replays: ReplayMemory = field(default_factory=ReplayMemory)
    people: int = 0

    @property
    def origin(self) -> str:
        return self.running_system.settings.origin

    @property
    def phone_origin(self) -> str:
        return self.running_system.settings.origins.phone

    def database(self, service: str) -> Any:
        """That service's own database."""
        return self.mongo[f"{self.running_system.settings.database_prefix}_{service}"]

    def replica(self, service: str, index: int = 0) -> Replica:
        return self.cluster.replicas[service][index]

    async def readiness(self, service: str, check: str) -> Any:
        """What `/readyz` of the first replica says of one check."""
        url = f"http://127.0.0.1:{self.replica(service).port}/readyz"
        async with aiohttp.ClientSession() as client, client.get(url) as answer:
            return (await answer.json())["checks"][check]

    async def whole(self) -> None:
        """Start what a test has ended; every replica is ready."""
        down = [r for r in self.cluster.all() if r.process is None or r.process.returncode is not None]
        await asyncio.gather(*(replica.start() for replica in down))

    async def account(self, upn: str | None = None) -> Account:
        """A new, invited person without a phone."""
        self.people += 1
        upn = upn or f"person{self.people}.{IDS.random_bytes(3).hex()}@{DOMAIN}"
        new = NewAccount(upn=upn, first_name="Per", last_name="Son", email=f"p{self.people}@private.example")
        return await admin.create_account(self.running_system.admin, TENANT, new)

    async def invite(self, account: Account) -> str:
        link = await admin.invite(self.running_system.admin, TENANT, account.upn)
        await self.running_system.flush()
        return link.url

    async def phone(self) -> SoftPhone:
        return await self.stack.enter_async_context(SoftPhone(ids=IDS))

    async def enrolled(self, phone: SoftPhone, link: str) -> SoftPhone:
        """Enrol as soon as the invitation has come as far as approval; ask again for an answer that was lost."""

        async def attempt() -> SoftPhone | None:
            try:
                await (phone.enrol_again() if phone.waits_for_its_answer else phone.enrol(link))
            except PhoneError as error:
                if error.status in (404, 410, 503) and not phone.keys:
                    return None
                raise
            except aiohttp.ClientError:
                return None
            return phone

        return await eventually(attempt, "the invitation reaches approval")

    async def person(self) -> Person:
        """A new person with a phone that wsfed trusts."""
        account = await self.account()
        phone = await self.enrolled(await self.phone(), await self.invite(account))

        async def active() -> bool | None:
            now = await admin.show_account(self.running_system.admin, TENANT, account.upn)
            return now.status is AccountStatus.ACTIVE or None

        await eventually(active, "the account is active")
        await eventually(lambda: self.trusted(phone), "wsfed trusts the phone")
        return Person(account, phone)

    async def devices(self, account: Account) -> dict[str, Document]:
        """The account's devices as approval keeps them; never more than one active here."""
        stored = await self._account(account)
        devices: dict[str, Document] = stored["devices"]
        return devices

    async def challenges(self, person: Person) -> list[Document]:
        """The person's requests as approval keeps them."""
        return list((await self._account(person.account))["challenges"].values())

    async def _account(self, account: Account) -> Document:
        stored: Document | None = await self.database("approval").accounts.find_one(
            {"_id": f"{TENANT}/{account.id}"}
        )
        assert stored is not None
        return stored

    async def trusted(self, phone: SoftPhone) -> Document | None:
        """wsfed's own record of that phone, once admin's decision that it counts is there too."""
        wsfed, phone_id = self.database("wsfed"), {"_id": f"{TENANT}/{phone.key.device}"}
        if await wsfed.authenticators.find_one({**phone_id, "status": "trusted"}) is None:
            return None
        found: Document | None = await wsfed.devices.find_one(phone_id)
        return found

    async def browser(self) -> Browser:
        return await self.stack.enter_async_context(Browser())

    async def begin(self, person: Person, browser: Browser | None = None) -> SignIn:
        """Steps 1 and 2."""
        browser = browser or await self.browser()
        url, pending = self.request(person.upn)
        page = await browser.get(url)
        assert page.status == 200, page.words()
        return SignIn(self, person, browser, page.url, pending)

    async def led_to(self, step: str) -> SignIn:
        """A new person's sign-in, that far: one of STEPS."""
        sign_in = await self.begin(await self.person())
        await lead_to(step, sign_in)
        return sign_in

    def request(self, upn: str) -> tuple[str, PendingRequest]:
        """Entra's request, and what Entra expects of the answer."""
        fields = passive_fields(upn, ids=IDS)
        pending = remember(DOMAIN, fields, self.running_system.clock.now())
        return to_url(f"{self.origin}/t/{TENANT}/wsfed", fields), pending

    async def verify(self, form: Form, pending: PendingRequest) -> SignedInUser:
        """Entra's checks. Raises EntraError."""
        path = self.folder / "entra.json"
        await tenant.tell_entra(self.running_system, path)
        known = EntraSettings.model_validate(json.loads(path.read_text()))
        return verify_response(
            form.fields,
            federations=Federations.of(*known.domains),
            directory=Directory.of(*known.users),
            replays=self.replays,
            pending=pending,
            now=datetime.fromtimestamp(self.running_system.clock.now().timestamp(), UTC),
        )

    async def sign_in(self, person: Person) -> None:
        """A sign-in without a fault: the system works."""
        sign_in = await self.begin(person)
        await sign_in.finish()
        await sign_in.assert_signed_once()


@contextmanager
def owned(part: P) -> Iterator[P]:
    """A part of a test's own, which is killed at the end whatever state it is in."""
    try:
        yield part
    finally:
        part.kill()


@asynccontextmanager
async def fault_system(
    folder: Path,
    *,
    mongo_url: str,
    bus_url: str,
    replicas: Mapping[str, int],
    of_replica: OfReplica | None = None,
) -> AsyncIterator[FaultSystem]:
    """The whole system in `folder`: databases of its own on that server, contoso set up. All gone afterwards."""
    port, entra_port = free_port(), free_port()
    prefix = "faults_" + IDS.random_bytes(6).hex()
    settings = local_settings(folder, port, mongo_url, bus_url=bus_url, database_prefix=prefix)
    make_keys(settings, IDS)
    async with AsyncExitStack() as stack:
        client: AsyncMongoClient[Document] = AsyncMongoClient(mongo_url, tz_aware=True)
        stack.push_async_callback(client.close)
        running_system = await stack.enter_async_context(
            many_processes(
                settings,
                port=port,
                entra_port=entra_port,
                logs=folder / "log",
                replicas=replicas,
                of_replica=of_replica,
            )
        )
        assert running_system.cluster is not None
        made = FaultSystem(running_system, running_system.cluster, client, folder, stack)
        await tenant.seed(running_system)
        await tenant.tell_entra(running_system, folder / "entra.json")  # and so wait for every signing key
        yield made
