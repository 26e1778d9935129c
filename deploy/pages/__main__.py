"""`python -m deploy.pages FOLDER`: write the tree. The folder must be empty or not there yet."""

import argparse
import sys
from pathlib import Path

from deploy.pages.builder import built, write


def main() -> int:
    """Exit code 1 when there is something in the folder already."""
    parser = argparse.ArgumentParser(prog="python -m deploy.pages", description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    if folder.exists() and any(folder.iterdir()):
        print(f"{folder} is not empty", file=sys.stderr)
        return 1
    write(built(), folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
