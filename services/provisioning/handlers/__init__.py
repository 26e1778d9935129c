"""What provisioning does, one function for each step of docs/flows/provisioning.md.

1       connection_set           connections.py
2       check                    connections.py
3       account_changed          ../projections.py; `sweep` (sweeping.py) for what was there before
4, 5    work                     jobs.py; `Worker` (worker.py) begins it; `count_people` (counting.py) counts
6       find                     looking_up.py
7       take                     jobs.py
8       authenticator_changed    ../projections.py
9       retry_person             people.py
"""

from services.provisioning.handlers.connections import check, check_asked, connection_set
from services.provisioning.handlers.counting import count_people
from services.provisioning.handlers.jobs import work
from services.provisioning.handlers.people import retry_person
from services.provisioning.handlers.sweeping import sweep, sweep_all_again

__all__ = [
    "check",
    "check_asked",
    "connection_set",
    "count_people",
    "retry_person",
    "sweep",
    "sweep_all_again",
    "work",
]
