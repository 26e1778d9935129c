"""The static tree: every file that the proxy answers by itself (`python -m deploy.pages FOLDER`).

Style sheets and scripts of all services and of our own pages, and these pages in English and French. The proxy's image
contains it; the one-process server and the cluster's router hold the same in memory.
"""

from deploy.pages.builder import build, built, front_pages_with_walk, write

__all__ = ["build", "built", "front_pages_with_walk", "write"]
