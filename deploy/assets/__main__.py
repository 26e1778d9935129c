"""`python -m deploy.assets`: make icons, font, QR reader and htmx of our pages, unless they are there."""

import sys

from deploy.assets.make import main

if __name__ == "__main__":
    sys.exit(main())
