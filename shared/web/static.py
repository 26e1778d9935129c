"""Style, scripts and pictures under names that change with their content, so that a cache may keep them.

All files of a service share one hash, because its script modules import each other by relative name:
`/static/wsfed/3f2a.../signin.js` imports `./live.js` and gets the one that belongs to it.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from aiohttp import web

from shared.errors import NotFound

SHARED = Path(__file__).parent / "static"

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".wav": "audio/wav",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
}


class StaticFiles:
    """A service's static files and the shared ones, read once at start. Raises ValueError for an unknown type."""

    def __init__(self, service: str, folders: Iterable[Path] = ()) -> None:
        self.service = service
        self._files: dict[str, bytes] = {}
        for folder in (SHARED, *folders):
            for file in sorted(folder.rglob("*")) if folder.is_dir() else ():
                if file.is_file():
                    if file.suffix not in _TYPES:
                        raise ValueError(f"{file.name}: no content type known for static files of this kind")
                    self._files[file.relative_to(folder).as_posix()] = file.read_bytes()
        digest = hashlib.sha256()
        for name, data in sorted(self._files.items()):
            digest.update(f"{name}\0{len(data)}\0".encode() + data)
        self.hash = digest.hexdigest()[:16]

    def url(self, name: str) -> str:
        """The path of that file. Raises ValueError when there is none: a template that names it is wrong."""
        if name not in self._files:
            raise ValueError(f"no static file {name!r} in {self.service}")
        return f"/static/{self.service}/{self.hash}/{name}"

    def read(self, name: str) -> bytes:
        """The content of that file. Raises KeyError."""
        return self._files[name]

    async def handle(self, request: web.Request) -> web.Response:
        """Answer `/static/{service}/{hash}/{name}`.

        Another hash is a page of the version before or after this one, while replicas are exchanged: it gets
        our file rather than none, but nobody may keep it.
        """
        name = request.match_info["name"]
        data = self._files.get(name)
        if data is None:
            raise NotFound
        ours = request.match_info["hash"] == self.hash
        headers = {"Content-Type": _TYPES[Path(name).suffix]}
        headers["Cache-Control"] = "public, max-age=31536000, immutable" if ours else "no-store"
        return web.Response(body=data, headers=headers)

    def routes(self) -> list[web.RouteDef]:
        """The one route of these files."""
        return [web.get(f"/static/{self.service}/{{hash}}/{{name:.+}}", self.handle)]
