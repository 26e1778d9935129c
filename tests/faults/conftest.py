"""What the fault tests stand on: the run's own MongoDB and RabbitMQ with a virtual host for each module."""

from collections.abc import Iterator

import pytest

from deploy.local.parts import Broker
from shared.ids import SystemIds


@pytest.fixture(scope="module")
def vhost(broker: Broker) -> Iterator[str]:
    """The address of an empty virtual host on the run's broker. Needs the marker `parts`."""
    name = f"faults-{SystemIds().octets(6).hex()}"
    broker.management.create_vhost(name)
    yield broker.url_of(name)
    broker.management.delete_vhost(name)
