"""`python -m deploy.standins.push --port 8367`"""

import argparse

from aiohttp import web

from deploy.standins.push.app import PushService
from shared.clock import SystemClock
from shared.ids import SystemIds


def main() -> None:
    """Serve on 127.0.0.1 until interrupted."""
    parser = argparse.ArgumentParser(
        prog="deploy.standins.push", description="Push service stand-in for tests"
    )
    parser.add_argument("--port", type=int, default=8367)
    options = parser.parse_args()
    service = PushService(SystemClock(), SystemIds(), f"http://127.0.0.1:{options.port}")
    web.run_app(service.app(), host="127.0.0.1", port=options.port)


if __name__ == "__main__":
    main()
