"""What the fault tests stand on.

`system` is one running system for all tests that leave MongoDB and RabbitMQ alone: starting one costs as much as
twenty sign-ins. `whole` is the same with every replica running again and no trap set. Tests on it are in the xdist
group `faults`, those with one replica only in the group `faults-one`.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import pytest
import pytest_asyncio

from deploy.local.backing import Broker
from shared.ids import SystemIds
from tests.faults.breakable import Breakable, breakable


@pytest.fixture(scope="module")
def vhost(broker: Broker) -> Iterator[str]:
    """The address of an empty virtual host on the run's broker. Needs the marker `integration`."""
    name = f"faults-{SystemIds().random_bytes(6).hex()}"
    broker.management.create_vhost(name)
    yield broker.url_of(name)
    broker.management.delete_vhost(name)


class Systems:
    """One running system at a time, kept until a test wants another number of replicas."""

    def __init__(self, make: Callable[[int], AbstractAsyncContextManager[Breakable]]) -> None:
        self._make = make
        self._stack = AsyncExitStack()
        self._replicas = 0

    async def of(self, replicas: int) -> Breakable:
        """The running one, or a new one in its place."""
        if replicas != self._replicas:
            await self.close()
            self._running = await self._stack.enter_async_context(self._make(replicas))
            self._replicas = replicas
        return self._running

    async def close(self) -> None:
        self._replicas = 0
        await self._stack.aclose()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def systems(
    tmp_path_factory: pytest.TempPathFactory, mongo_url: str, broker: Broker
) -> AsyncIterator[Systems]:
    @asynccontextmanager
    async def make(replicas: int) -> AsyncIterator[Breakable]:
        name = f"faults-{SystemIds().random_bytes(6).hex()}"
        broker.management.create_vhost(name)
        folder = tmp_path_factory.mktemp("system")
        async with breakable(folder, mongo_url, broker.url_of(name), replicas) as started:
            yield started
        broker.management.delete_vhost(name)

    made = Systems(make)
    yield made
    await made.close()


@pytest_asyncio.fixture(loop_scope="session")
async def system(request: pytest.FixtureRequest, systems: Systems) -> Breakable:
    """With two replicas of wsfed and approval, or as many as the parameter says."""
    return await systems.of(getattr(request, "param", 2))


@pytest_asyncio.fixture(loop_scope="session")
async def whole(system: Breakable) -> AsyncIterator[Breakable]:
    """Every replica runs, no trap is set."""
    await system.fault_system.whole()
    yield system
    system.disarm()
