"""`python -m deploy.assets`: make the icons, the font, the QR reader and htmx of our pages, unless they are there already."""

import sys

from deploy.assets.make import main

if __name__ == "__main__":
    sys.exit(main())
