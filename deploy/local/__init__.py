"""The whole system on one machine, and the real backing services it needs."""

from pathlib import Path

from shared.errors import add_catalogue

add_catalogue(Path(__file__).parent / "errors")
