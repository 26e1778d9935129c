"""The command line `blok365` (`python -m deploy.cli`): an operator's way to the same handlers as the console.

It works beside a running system: it writes to admin's database through admin's own handlers, and the messages wait in
the outbox of the documents it wrote. Over RabbitMQ it publishes them itself; beside `make run`, whose bus is in memory,
it tells the running process to send them (`session.opened`).
"""

from pathlib import Path

from shared.errors import add_catalogue

add_catalogue(Path(__file__).parent / "errors")
