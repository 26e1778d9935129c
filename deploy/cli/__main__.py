"""`python -m deploy.cli`: the program `blok365`."""

import signal

if __name__ == "__main__":
    # Until the command listens for it, Ctrl-C ends it without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from deploy.cli.commands import main

    main()
