"""One error family. A handler raises one of these; `shared/web` alone turns it into a page or problem+json.

An error is raised with the id of what it says and the values that go in, `NotFound("admin.tenant.unknown",
tenant=slug)`; the sentences are in catalogues (`catalogue.py`). `code` is stable and for programs: problem+json, the
scripts of our pages, logs. Several ids share a code where a program does the same for all of them. Nothing here may
carry a secret.
"""

from pathlib import Path
from typing import ClassVar

from shared.errors.catalogue import ENGLISH, Sentence, add_catalogue, sentence

__all__ = [
    "ENGLISH",
    "BadInput",
    "Blok365Error",
    "Conflict",
    "Forbidden",
    "Gone",
    "NotAuthenticated",
    "NotFound",
    "Sentence",
    "TooLarge",
    "TooMany",
    "Unavailable",
    "add_catalogue",
]

add_catalogue(Path(__file__).parent)


class Blok365Error(Exception):
    """Base of every error that a person or another program is told about.

    `kind` is the id of the general entry: the title of every error of the class, and the remedy of one that has none
    of its own. A subclass for one single error names its `id` and `code` itself and is raised without arguments.
    """

    status: ClassVar[int] = 500
    kind: ClassVar[str] = "internal"
    id: str = ""
    code: str = "internal"

    def __init__(self, error_id: str = "", /, *, code: str = "", **values: object) -> None:
        super().__init__(error_id)
        self.id = error_id or self.id
        self.code = code or self.code
        self.values = values

    def __str__(self) -> str:
        return self.detail or self.title

    @property
    def title(self) -> str:
        """In English, as are `detail` (what happened; may be empty) and `remedy` (what to do next)."""
        return self.title_in(ENGLISH).text

    @property
    def detail(self) -> str:
        return self.detail_in(ENGLISH).text

    @property
    def remedy(self) -> str:
        return self.remedy_in(ENGLISH).text

    def title_in(self, language: str) -> Sentence:
        return sentence(self.kind, "title", {}, language) or Sentence("", language)

    def detail_in(self, language: str) -> Sentence:
        own = sentence(self.id, "detail", self.values, language) if self.id else None
        return own or Sentence("", language)

    def remedy_in(self, language: str) -> Sentence:
        own = sentence(self.id, "remedy", self.values, language) if self.id else None
        return own or sentence(self.kind, "remedy", {}, language) or Sentence("", language)


class BadInput(Blok365Error):
    """The request cannot be understood or breaks a rule; sending it again will not help."""

    status = 400
    kind = code = "bad_input"


class NotAuthenticated(Blok365Error):
    """No session, or one that has ended."""

    status = 401
    kind = code = "not_authenticated"


class Forbidden(Blok365Error):
    """It is known who asks, and they may not."""

    status = 403
    kind = code = "forbidden"


class NotFound(Blok365Error):
    """No such thing, or not in this tenant: the answer is the same."""

    status = 404
    kind = code = "not_found"


class Conflict(Blok365Error):
    """The request contradicts the present state: it was already done, or somebody else was first."""

    status = 409
    kind = code = "conflict"


class Gone(Blok365Error):
    """What was asked for was valid once, and has expired or been used."""

    status = 410
    kind = code = "gone"


class TooLarge(Blok365Error):
    """A body, header, parameter or document is over its limit."""

    status = 413
    kind = code = "too_large"


class TooMany(Blok365Error):
    """More than is taken at once. It is raised with the value `seconds`, after which trying again is right."""

    status = 429
    kind = code = "too_many"

    @property
    def retry_after(self) -> int:
        """Seconds, for the header Retry-After (RFC 9110 section 10.2.3)."""
        return int(str(self.values["seconds"]))


class Unavailable(Blok365Error):
    """A part we need does not answer now. Nothing was lost; trying again is right."""

    status = 503
    kind = code = "unavailable"
