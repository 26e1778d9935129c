"""The only wiring of provisioning."""

from datetime import timedelta
from functools import partial

from services.provisioning.config import ProvisioningSettings
from services.provisioning.consumers import consumers
from services.provisioning.gateways.graph import Graph
from services.provisioning.handlers import sweep_all_again
from services.provisioning.handlers.worker import Worker
from services.provisioning.ports import Dependencies, Directory
from services.provisioning.store import (
    AccountRepository,
    ConnectionRepository,
    PeopleRepository,
    TenantRepository,
)
from shared.assembly import Platform, Wired
from shared.crypto.sealed_box import load_opener
from shared.store.sealing import SealingKey


def build(
    platform: Platform, settings: ProvisioningSettings | None = None, *, directory: Directory | None = None
) -> Wired[Dependencies]:
    """The service, not yet running, with what its handlers work with. `directory`: a test's own."""
    assembly = platform.assemble("provisioning")
    settings, keys = settings or ProvisioningSettings(), platform.settings.keys
    database, signer = assembly.database, assembly.signer
    connections = ConnectionRepository(
        database, signer, SealingKey.from_file(keys / "provisioning.seal", platform.ids)
    )
    people, accounts = PeopleRepository(database, signer), AccountRepository(database)
    tenants = TenantRepository(database)
    graph = Graph(platform.clock, platform.ids, settings.answer_seconds)
    worker = Worker(lambda: deps)
    deps = Dependencies(
        connections=connections,
        people=people,
        accounts=accounts,
        tenants=tenants,
        directory=directory or graph,
        queue=worker,
        opener=load_opener(keys, "provisioning"),
        clock=platform.clock,
        ids=platform.ids,
        graph_url=settings.graph_url,
        authority_url=settings.authority_url,
        people_at_once=settings.people_at_once,
        answer_within=timedelta(seconds=settings.answer_seconds),
    )
    service = assembly.service(
        consumers(deps),
        state=[connections.source, people.source],
        # Of authenticators nothing is kept: the end of one is acted on once.
        projections={"admin": [tenants.projection, accounts.accounts, accounts.profiles]},
        on_start=[partial(sweep_all_again, deps)],
        background=[worker.run],
        on_stop=[worker.stop, graph.close],
    )
    return Wired(service, deps)
