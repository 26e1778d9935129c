"""Style, scripts and pictures under names that change with their content, so that a cache may keep them.

All files of a service share one hash, because its script modules import each other by relative name:
`/static/wsfed/3f2a.../signin.js` imports `./live.js` and gets the one that belongs to it. A service only names them;
the proxy answers (`shared.web.site`).
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

SHARED = Path(__file__).parent / "static"
ASSETS = Path(__file__).parent / "assets"
"""What `deploy.assets` makes from npm packages."""
WITHOUT_ASSETS: Mapping[str, bytes] = {
    "icons.svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "qr.js": b"export const decodeQR = null;",
    "htmx.js": b"export default { registerExtension() {} };",
}
"""What stands for them where set-up could not make them. The font has no such file: style names another behind it."""

TYPES: Mapping[str, str] = {
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
    ".txt": "text/plain; charset=utf-8",
}
"""Content type by the end of a file's name."""


class StaticFiles:
    """An owner's static files and the shared ones, read once at start. Raises ValueError for an unknown type.

    `owner`: a service, or what else has pages. `files`: content by name.
    """

    def __init__(self, owner: str, folders: Iterable[Path] = ()) -> None:
        self.owner = owner
        found: dict[str, bytes] = dict(WITHOUT_ASSETS)
        for folder in (ASSETS, SHARED, *folders):
            for file in sorted(folder.rglob("*")) if folder.is_dir() else ():
                if file.is_file():
                    if file.suffix not in TYPES:
                        raise ValueError(f"{file.name}: no content type known for static files of this kind")
                    found[file.relative_to(folder).as_posix()] = file.read_bytes()
        digest = hashlib.sha256()
        for name, data in sorted(found.items()):
            digest.update(f"{name}\0{len(data)}\0".encode() + data)
        self.files: Mapping[str, bytes] = found
        self.hash = digest.hexdigest()[:16]

    def url(self, name: str) -> str:
        """The path of that file. Raises ValueError when there is none: a template that names it is wrong."""
        if name not in self.files:
            raise ValueError(f"no static file {name!r} of {self.owner}")
        return f"/static/{self.owner}/{self.hash}/{name}"
