"""The command line `blok365` (`python -m deploy.cli`): an operator's way to the same handlers as the console.

It works beside a running system. It writes to admin's database through admin's own handlers; the messages wait
in the outbox of the documents it wrote, and the running admin process's sweeper sends them within seconds. So it
needs MongoDB and admin's key, and no bus.
"""

from pathlib import Path

from shared.errors import add_catalogue

add_catalogue(Path(__file__).parent / "errors")
