"""Graph's errors, in Graph's words where they are known.

The words here were seen in Microsoft's pages, in recorded traffic or in other people's reports, but for those marked
`(ours)`. What is worded at the place of a rule is called not verified in the docstring of its module, or is known.
"""

from collections.abc import Mapping

from deploy.standins.graph.exchange import Json


class GraphError(Exception):
    """The answer to a request that failed: status, Graph's code and message, and what `details` say."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: tuple[tuple[str, str], ...] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        """(code, target) of each detail; its message is that of the error."""
        self.headers = dict(headers or {})

    def body(self, *, date: str, request_id: str, client_request_id: str) -> Json:
        """As Graph's `publicError`; `date` without zone, as Graph writes it."""
        inner = {"date": date, "request-id": request_id, "client-request-id": client_request_id}
        error: Json = {"code": self.code, "message": self.message}
        if self.details:
            error["details"] = [
                {"code": code, "message": self.message, "target": target} for code, target in self.details
            ]
        return {"error": {**error, "innerError": inner}}


def bad_request(message: str, *details: tuple[str, str]) -> GraphError:
    """400, the code that the directory gives for nearly everything."""
    return GraphError(400, "Request_BadRequest", message, details=details)


def malformed(message: str) -> GraphError:
    """400 of the gateway before the directory sees the request."""
    return GraphError(400, "BadRequest", message)


def not_json() -> GraphError:
    """The body is no JSON object."""
    return malformed(
        "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid "
        "JSON format."
    )


def conflict(target: str) -> GraphError:
    """400, not 409: another object holds that value."""
    message = f"Another object with the same value for property {target} already exists."
    return bad_request(message, ("ObjectConflict", target))


def invalid(target: str, resource: str = "User") -> GraphError:
    """A value of the right type that the directory does not take."""
    message = f"Invalid value specified for property '{target}' of resource '{resource}'."
    return bad_request(message, ("InvalidValue", target))


def required(target: str, resource: str = "User") -> GraphError:
    """A property that must be there."""
    message = f"A value is required for property '{target}' of resource '{resource}'."
    return bad_request(message, ("MissingValue", target))


def read_only(target: str) -> GraphError:
    """A property that only the directory sets."""
    return bad_request(f"Property '{target}' is read-only and cannot be set.", ("ReadOnly", target))


def not_found(name: str) -> GraphError:
    """404 for an object, or for a relation that has none."""
    message = (
        f"Resource '{name}' does not exist or one of its queried reference-property objects are not present."
    )
    return GraphError(404, "Request_ResourceNotFound", message)


def denied() -> GraphError:
    """403: the permission is missing, or is not enough for this object."""
    return GraphError(
        403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation."
    )


def unauthorized(message: str) -> GraphError:
    """401, with the challenge that Graph sends."""
    challenge = (
        'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize"'
    )
    return GraphError(401, "InvalidAuthenticationToken", message, headers={"WWW-Authenticate": challenge})


def no_segment(name: str) -> GraphError:
    """400: no such path."""
    return malformed(f"Resource not found for the segment '{name}'.")


def unsupported_query(message: str = "Unsupported Query.") -> GraphError:
    """400: a query that needs `ConsistencyLevel: eventual`, or that no index answers."""
    return GraphError(400, "Request_UnsupportedQuery", message)


def not_here(what: str) -> GraphError:
    """501: the real Graph may well do it, this stand-in does not, and says so instead of guessing (ours)."""
    return GraphError(501, "notImplemented", f"deploy.standins.graph does not know {what}.")


def throttled(retry_after: int, headers: Mapping[str, str] | None = None) -> GraphError:
    """429."""
    return GraphError(
        429,
        "TooManyRequests",
        "Too many requests. Please retry again after some time.",
        headers={"Retry-After": str(retry_after), **(headers or {})},
    )


def synced() -> GraphError:
    """A user that an on-premises directory owns."""
    return bad_request(
        "Unable to update the specified properties for on-premises mastered Directory Sync objects or objects "
        "currently undergoing migration."
    )
