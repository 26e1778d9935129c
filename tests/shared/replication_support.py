"""admin, approval and replicas of wsfed, cut down to what replication needs; a test carries each message itself."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from shared.bus.port import Handler, Handlers, Reject
from shared.clock import ManualClock
from shared.contracts import Message, StateEvent
from shared.contracts.admin import AccountChanged, AccountStatus, TenantConfigured
from shared.contracts.approval import DeviceChanged, Endorsement
from shared.contracts.envelope import MessageSigner, SignedMessage, VerifiedMessage, verify_message
from shared.contracts.state import PullState, StatePulled, pull_of, pulled_of
from shared.crypto.keys import key_from_seed
from shared.ids import SeededIds
from shared.replication import Projection, Row, Source, StatePublisher, Subscriptions
from shared.replication.records import Subscription
from shared.store.memory import MemoryDatabase
from shared.store.port import Collection, Database, Document
from tests.world import START

OWNERS = ("admin", "approval")
KEYS = {name: key_from_seed(name.encode().ljust(32)) for name in (*OWNERS, "wsfed", "notify")}
TRUSTED = {name: (key.public_key(),) for name, key in KEYS.items()}
TENANT = "contoso"


@dataclass
class Post:
    """A bus that keeps what it is given, for the test to deliver, lose or double."""

    sent: list[SignedMessage] = field(default_factory=list)
    down: bool = False

    async def publish(self, messages: Sequence[SignedMessage]) -> frozenset[str]:
        await asyncio.sleep(0)
        if self.down:
            return frozenset()
        self.sent += messages
        return frozenset(signed.id for signed in messages)

    def taken(self) -> list[SignedMessage]:
        """What waits, and from now on does not."""
        taken, self.sent = self.sent, []
        return taken


def account(name: str, version: int = 1, **changes: Any) -> AccountChanged:
    fields: dict[str, Any] = {
        "version": version,
        "account": name,
        "upn": f"{name}@contoso.example",
        "display_name": name.title(),
        "immutable_id": "immutable",
        "status": AccountStatus.ACTIVE,
    }
    return AccountChanged(**{**fields, **changes})


def tenant(version: int = 1) -> TenantConfigured:
    return TenantConfigured(version=version, name="Contoso", applications=(), domains=())


def device(name: str, version: int = 1) -> DeviceChanged:
    return DeviceChanged(
        version=version,
        device=name,
        account="ada",
        credential_id=name,
        public_key="",
        endorsement=Endorsement(kind="invitation", by="invitation", signature=""),
        enrolled_at=START,
        status="active",
    )


def row_of(document: Document) -> Row:
    """The state events that such a document says: it holds their JSON."""
    return Row(document["tenant"], [KINDS[kind].model_validate(body) for kind, body in document["says"]])


KINDS: dict[str, type[StateEvent]] = {c.TYPE: c for c in (AccountChanged, TenantConfigured, DeviceChanged)}


class Owner:
    """A service that owns state, with one collection `things` or with several."""

    def __init__(
        self,
        name: str,
        types: Sequence[Sequence[type[StateEvent]]],
        clock: ManualClock,
        database: Database | None = None,
    ) -> None:
        self.name = name
        self.post = Post()
        self.clock = clock
        self.database = database or MemoryDatabase(clock=clock)
        self.things = [self.database.collection(f"things{n}", state=True) for n in range(len(types))]
        self.signer = MessageSigner(name, KEYS[name], clock, SeededIds(name))
        self.publisher = StatePublisher(
            [Source(each, kinds, row_of) for each, kinds in zip(self.things, types, strict=True)],
            database=self.database,
            signer=self.signer,
            bus=self.post,
        )

    @property
    def data(self) -> dict[str, dict[str, Document]]:
        assert isinstance(self.database, MemoryDatabase)
        return self.database.data

    async def say(
        self, document_id: str, *events: StateEvent, source: int = 0, of: str = TENANT
    ) -> list[SignedMessage]:
        """Write a document that says these, as a step of the service does; the events' messages."""
        messages = [self.signer.sign(event, tenant=of) for event in events]
        says = [[event.TYPE, event.model_dump(mode="json")] for event in events]
        change = {"$set": {"tenant": of, "says": says}}
        await self.things[source].update({"_id": document_id}, change, outbox=messages, upsert=True)
        return messages

    def ask(self, asker: str = "wsfed", **fields: Any) -> VerifiedMessage[PullState]:
        """The question of that service."""
        message = pull_of(self.name)(**{"request": "request", **fields})
        signed = MessageSigner(asker, KEYS[asker], self.clock, SeededIds("ask")).sign(message, tenant="-")
        return verify_message(signed, trusted=TRUSTED, now=self.clock.now())

    async def page(self, asker: str = "wsfed", **fields: Any) -> StatePulled:
        """The answer to that question."""
        await self.publisher.answer(self.ask(asker, **fields))
        (signed,) = self.post.taken()
        assert signed.to == asker
        answer = verify_message(signed, trusted=TRUSTED, now=self.clock.now()).message
        assert isinstance(answer, StatePulled)
        return answer

    async def pages(self, asker: str = "wsfed", **fields: Any) -> list[StatePulled]:
        """All pages of one pull."""
        found = [await self.page(asker, **fields)]
        while (following := found[-1].next) is not None:
            fields |= {"after": following, "until": found[-1].until}
            found.append(await self.page(asker, **fields))
        return found


class Replica:
    """One process of wsfed, which follows admin and approval."""

    def __init__(self, stage: "Stage", number: int) -> None:
        self.post = Post()
        self.ids = SeededIds(f"replica {number}")
        self.database: Database = MemoryDatabase(clock=stage.clock, data=stage.data)
        self.accounts = Projection(self.database.collection("accounts"))
        self.tenants = Projection(self.database.collection("tenants"))
        self.devices = Projection(self.database.collection("devices"))
        self.subscriptions = Subscriptions(
            OWNERS,
            database=self.database,
            bus=self.post,
            signer=MessageSigner("wsfed", KEYS["wsfed"], stage.clock, self.ids),
            clock=stage.clock,
            ids=self.ids,
            max_age=timedelta(seconds=300),
            patient=stage.patient,
        )
        handlers: Handlers = {
            AccountChanged: self._handler(stage, self._account),
            TenantConfigured: self._handler(stage, self._tenant),
            DeviceChanged: self._handler(stage, self._device),
        }
        projections = {"admin": [self.accounts, self.tenants], "approval": [self.devices]}
        table = self.subscriptions.consumers(handlers, projections)
        self.table = {contract.TYPE: handler for contract, handler in table.items()}

    def _handler(self, stage: "Stage", keep: Handler) -> Handler:
        async def handle(received: VerifiedMessage[Any]) -> None:
            stage.handled.append(received)
            if (fault := stage.fault(received)) is not None:
                raise fault
            await keep(received)

        return handle

    async def _account(self, received: VerifiedMessage[AccountChanged]) -> None:
        message = received.message
        fields = {"upn": message.upn, "status": message.status.value}
        await self.accounts.keep(message.account, received, fields)

    async def _tenant(self, received: VerifiedMessage[TenantConfigured]) -> None:
        await self.tenants.keep(received.tenant, received, {"name": received.message.name})

    async def _device(self, received: VerifiedMessage[DeviceChanged]) -> None:
        await self.devices.keep(received.message.device, received, {"account": received.message.account})

    async def take(self, signed: SignedMessage, now: Any) -> None:
        """Deliver a message here. Raises what its handler raises."""
        received = verify_message(signed, trusted=TRUSTED, now=now)
        await self.table[signed.type](received)


class Stage:
    """The three of them. `fault(received)`: what wsfed's handler of that event raises."""

    def __init__(self, replicas: int = 1, *, patient: bool = False) -> None:
        self.patient = patient
        self.clock = ManualClock(START)
        self.data: dict[str, dict[str, Document]] = {}
        """wsfed's documents."""
        self.handled: list[VerifiedMessage[Any]] = []
        self.fault: Callable[[VerifiedMessage[Any]], Exception | None] = lambda received: None
        self.admin = Owner("admin", [[TenantConfigured], [AccountChanged]], self.clock)
        self.approval = Owner("approval", [[DeviceChanged]], self.clock)
        self.replicas = [Replica(self, n) for n in range(replicas)]
        self.rejected: list[str] = []

    @property
    def follower(self) -> Subscriptions:
        return self.replicas[0].subscriptions

    @property
    def owners(self) -> tuple[Owner, Owner]:
        return self.admin, self.approval

    async def settle(self) -> None:
        """Questions are sent in tasks of their own."""
        for _ in range(10):
            await asyncio.sleep(0)

    async def look(self, *numbers: int) -> None:
        for number in numbers or range(len(self.replicas)):
            await self.replicas[number].subscriptions.look()
        await self.settle()

    async def questions(self) -> list[SignedMessage]:
        """What the replicas ask; nobody has it yet."""
        await self.settle()
        return [signed for replica in self.replicas for signed in replica.post.taken()]

    async def answer(self, question: SignedMessage) -> SignedMessage:
        """The page that its owner sends."""
        (owner,) = (o for o in self.owners if question.type == pull_of(o.name).TYPE)
        await owner.publisher.answer(verify_message(question, trusted=TRUSTED, now=self.clock.now()))
        (page,) = owner.post.taken()
        return page

    async def take(self, page: SignedMessage, replica: int = 0) -> None:
        try:
            await self.replicas[replica].take(page, self.clock.now())
        except Reject as error:
            self.rejected.append(str(error))
        await self.settle()

    async def carry(self, loses: Callable[[SignedMessage], bool] = lambda signed: False) -> int:
        """Deliver questions and pages until nobody says anything more, to one replica after the other; how many
        questions were asked.
        """
        turn = asked = 0
        while questions := await self.questions():
            asked += len(questions)
            for question in questions:
                if loses(question):
                    continue
                try:
                    page = await self.answer(question)
                except Reject as error:
                    self.rejected.append(str(error))
                    continue
                if not loses(page):
                    await self.take(page, turn % len(self.replicas))
                    turn += 1
        return asked

    async def live(
        self, seconds: float, loses: Callable[[SignedMessage], bool] = lambda signed: False
    ) -> int:
        """Let time pass: every replica looks every two seconds. How many questions were asked."""
        asked = 0
        while seconds > 0:
            step = min(seconds, 2)
            self.clock.advance(step)
            seconds -= step
            await self.look()
            asked += await self.carry(loses)
        return asked

    async def first(self) -> None:
        """The first pull of everything, of both owners."""
        for _ in OWNERS:
            await self.look()
            await self.carry()
        assert all(self.follower.fresh(owner) for owner in OWNERS)
        self.handled.clear()

    async def record(self, owner: str) -> Subscription:
        return await self.follower._store.load(owner)

    def rows(self, collection: str = "accounts") -> dict[str, Document]:
        """wsfed's rows that are in force."""
        return {i: d for i, d in self.data.get(collection, {}).items() if not d.get("lapsed")}

    def sign(self, sender: str, message: Message, *, of: str = "-") -> SignedMessage:
        """A message with that service's true signature."""
        signer = MessageSigner(sender, KEYS[sender], self.clock, SeededIds(f"sign {sender}"))
        return signer.sign(message, tenant=of)


def page_of(owner: str, **fields: Any) -> StatePulled:
    """A page as that owner could send it."""
    usual: dict[str, Any] = {
        "request": "request",
        "to": "wsfed",
        "after": "",
        "items": (),
        "next": None,
        "until": "4000000000.0000000001",
        "generation": 0,
    }
    return pulled_of(owner)(**{**usual, **fields})


__all__ = ["Collection", "Owner", "Post", "Replica", "Stage", "account", "device", "page_of", "tenant"]
