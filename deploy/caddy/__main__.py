"""`python -m deploy.caddy`: write deploy/caddy/Caddyfile; with `--check` only compare it."""

import difflib
import sys
from pathlib import Path

from deploy.caddy.caddyfile import caddyfile
from shared.services import SERVICES

FILE = Path(__file__).parent / "Caddyfile"


def main() -> int:
    """Exit code 1 when the checked file is stale."""
    text = caddyfile(SERVICES)
    if "--check" not in sys.argv[1:]:
        FILE.write_text(text)
        return 0
    kept = FILE.read_text() if FILE.exists() else ""
    old, new = kept.splitlines(keepends=True), text.splitlines(keepends=True)
    sys.stdout.writelines(difflib.unified_diff(old, new, str(FILE), "python -m deploy.caddy"))
    return int(kept != text)


if __name__ == "__main__":
    sys.exit(main())
