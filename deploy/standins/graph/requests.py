"""The record of every request: `{at, method, url, headers, body, status}`, one JSON object a line.

`at` is UTC with milliseconds; `url` as sent, escapes and all; `body` is the JSON value that was sent, a form as an
object, null where there was no body or none of these; `status` is 0 where the connection ended without an answer.
Authorization, secrets and passwords are "hidden", also within a `$batch`. Setting up the stand-in is no request.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import parse_qsl

from deploy.standins.graph.exchange import Json, Request, parsed_json

HIDDEN = "hidden"
SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie"})
SECRET_FIELDS = frozenset(
    {
        "client_secret",
        "client_assertion",
        "password",
        "newpassword",
        "currentpassword",
        "assertion",
        "refresh_token",
    }
)


def line(request: Request, *, at: str, origin: str, status: int) -> Json:
    """One entry. `origin`: scheme, host and port that the request was sent to."""
    return {
        "at": at,
        "method": request.method,
        "url": f"{origin}{request.target}",
        "headers": _headers(request.headers),
        "body": body_of(request),
        "status": status,
    }


def body_of(request: Request) -> object:
    """The body as JSON without secrets; None where there is none that can be shown."""
    if not request.body:
        return None
    if request.content_type == "application/x-www-form-urlencoded":
        pairs = parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True)
        return hidden(dict(pairs))
    try:
        return hidden(parsed_json(request.body))
    except (ValueError, RecursionError):
        return None


def hidden(value: Any) -> Any:
    """The same value with secrets replaced, at every depth."""
    if isinstance(value, dict):
        return {
            name: HIDDEN
            if name.lower() in SECRET_FIELDS | SECRET_HEADERS and each is not None
            else hidden(each)
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [hidden(each) for each in value]
    return value


def _headers(headers: Mapping[str, str]) -> Json:
    return {name: HIDDEN if name.lower() in SECRET_HEADERS else value for name, value in headers.items()}


class Record:
    """The entries: in a file, which it adds to, or in memory where no file is named."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._file: TextIO | None = None
        self._kept: list[Json] = []
        self.count = 0
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a", encoding="utf-8", buffering=1)

    def add(self, entry: Json) -> None:
        self.count += 1
        if self._file is None:
            self._kept.append(entry)
        else:
            self._file.write(json.dumps(entry) + "\n")

    def entries(self) -> Iterator[Json]:
        """All of them, oldest first; those of a file with what was in it before."""
        if self._path is None:
            yield from self._kept
            return
        with self._path.open(encoding="utf-8") as file:
            for text in file:
                yield json.loads(text)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
