"""Ids that come in messages."""

import re

from shared.bus.port import Reject

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def check_ids(*ids: str) -> None:
    """Ids become keys of documents and of maps in them. Raises Reject for what could mean anything else there."""
    for each in ids:
        if not _ID.fullmatch(each):
            raise Reject(f"not an id: {each[:80]!r}")
