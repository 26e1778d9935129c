"""One error family. A handler raises one of these; `shared/web` alone turns it into a page or problem+json.

Every error says what happened (`title`, `detail`) and what to do next (`remedy`) in words for the person
who reads it. `code` is stable, for tests, logs and translations. Nothing here may carry a secret.
"""

from typing import ClassVar


class Blok365Error(Exception):
    """Base of every error that a person or another program is told about."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Something went wrong on our side"
    default_remedy: ClassVar[str] = "Try again in a minute. If it goes on, tell your administrator."

    def __init__(self, detail: str = "", *, remedy: str | None = None, code: str | None = None) -> None:
        super().__init__(detail or self.title)
        self.detail = detail
        self.remedy = remedy if remedy is not None else self.default_remedy
        self.reason = code or self.code


class BadInput(Blok365Error):
    """The request cannot be understood or breaks a rule; sending it again will not help."""

    status = 400
    code = "bad_input"
    title = "That request can't be used"
    default_remedy = "Go back and start again from Microsoft 365."


class NotAuthenticated(Blok365Error):
    """No session, or one that has ended."""

    status = 401
    code = "not_authenticated"
    title = "Sign in first"
    default_remedy = "Sign in and try again."


class Forbidden(Blok365Error):
    """Known who asks, and the answer is no."""

    status = 403
    code = "forbidden"
    title = "That isn't allowed"
    default_remedy = "Ask your administrator."


class NotFound(Blok365Error):
    """No such thing, or not in this tenant: the answer is the same."""

    status = 404
    code = "not_found"
    title = "That doesn't exist"
    default_remedy = "Check the address, or start again."


class Conflict(Blok365Error):
    """It was already done, or somebody else was first."""

    status = 409
    code = "conflict"
    title = "That was already done"
    default_remedy = "Start again."


class Gone(Blok365Error):
    """It was valid once and has expired or been used."""

    status = 410
    code = "gone"
    title = "That is no longer valid"
    default_remedy = "Start again."


class TooLarge(Blok365Error):
    """A body, header, parameter or document is over its limit."""

    status = 413
    code = "too_large"
    title = "That is too large"
    default_remedy = "Send less."


class TooMany(Blok365Error):
    """A limit on tries or requests is spent. `retry_after` is in seconds."""

    status = 429
    code = "too_many"
    title = "Too many tries"
    default_remedy = "Wait a little, then try again."

    def __init__(self, detail: str = "", *, retry_after: int = 60, code: str | None = None) -> None:
        super().__init__(detail, code=code)
        self.retry_after = retry_after


class Unavailable(Blok365Error):
    """A part we need does not answer now. Nothing was lost; trying again is right."""

    status = 503
    code = "unavailable"
    title = "We can't do that just now"
    default_remedy = "Try again in a minute."
