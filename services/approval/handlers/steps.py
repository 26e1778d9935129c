"""Read, compute, write on condition: the one way in which an account changes."""

import asyncio
import re
from collections.abc import Callable

from services.approval.domain.account import Account, Step
from services.approval.ports import Parts, Stored
from shared.bus.port import Reject
from shared.errors import Unavailable

MAX_COLLISIONS = 20
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def check_ids(*ids: str) -> None:
    """Ids become keys of documents and of maps in them. Raises Reject for what could mean anything else there."""
    for each in ids:
        if not _ID.fullmatch(each):
            raise Reject(f"not an id: {each[:80]!r}")


async def change(
    parts: Parts,
    tenant: str,
    account: str,
    step: Callable[[Account], Step | None],
    *,
    first: Stored | None = None,
    confirm: bool = False,
) -> Step | None:
    """Take one step on an account and say what it says, in one write.

    `step` may be called again when somebody else wrote first, so it must not have effects; None means that there
    is nothing to do. `first` is the account as the caller has just read it. An account that does not exist is
    given to `step` empty. `confirm`: see `Accounts.save`.

    Raises what `step` raises, the step's own refusal after its write, Unavailable when
    others keep being faster.
    """
    turn = parts.turns.setdefault(f"{tenant}/{account}", asyncio.Lock())
    async with turn:  # only spares collisions within this process; the store's condition decides
        for attempt in range(MAX_COLLISIONS):
            before = (
                first if attempt == 0 and first is not None else await parts.accounts.load(tenant, account)
            )
            before = before or Stored(Account(tenant, account), 0)
            taken = step(before.account)
            if taken is None:
                return None
            messages = [
                parts.signer.sign(said.message, tenant=tenant, correlation_id=said.correlation)
                for said in taken.said
            ]
            if await parts.accounts.save(before, taken.account, messages, confirm=confirm):
                if taken.refusal is not None:
                    raise taken.refusal
                return taken
    raise Unavailable("approval.account.busy")
