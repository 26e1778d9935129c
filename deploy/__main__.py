"""`python -m deploy run` and `python -m deploy status`: what `make run` and `make status` start."""
# ruff: noqa: E402 - the first statement must stand before the imports, which take their time

import signal

# Until the program listens for it, Ctrl-C ends it without a traceback. The Makefile has the signal held back, so
# that one that came before this line ends us here.
signal.signal(signal.SIGINT, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

import sys

from deploy.local.program import main

if __name__ == "__main__":
    sys.exit(main())
