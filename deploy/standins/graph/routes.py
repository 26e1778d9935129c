"""Which path is which: Graph's URL forms to a route and its keys."""

import re
from dataclasses import dataclass

from deploy.standins.graph.errors import GraphError, malformed, no_segment
from deploy.standins.graph.exchange import decoded

BASE = "/v1.0"


@dataclass(frozen=True, slots=True)
class Key:
    """A key in a path. `quoted`: it came as `users('...')`, its apostrophes single again."""

    value: str
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """A path that was understood: its template, with `{id}` for each key, in Graph's spelling; and the keys."""

    template: str
    keys: tuple[Key, ...] = ()


TEMPLATES = (
    "/$batch",
    "/users",
    "/users/delta",
    "/users/{id}",
    "/users/{id}/assignLicense",
    "/users/{id}/licenseDetails",
    "/users/{id}/revokeSignInSessions",
    "/users/{id}/memberOf",
    "/users/{id}/memberOf/microsoft.graph.directoryRole",
    "/users/{id}/transitiveMemberOf",
    "/users/{id}/transitiveMemberOf/microsoft.graph.directoryRole",
    "/directory/deletedItems/microsoft.graph.user",
    "/directory/deletedItems/{id}",
    "/directory/deletedItems/{id}/restore",
    "/subscribedSkus",
    "/subscribedSkus/{id}",
    "/domains",
    "/domains/{id}",
    "/domains/{id}/federationConfiguration",
    "/domains/{id}/federationConfiguration/{id}",
)
"""Every path that the stand-in knows; where two fit, the first counts. A real one that is not here is refused (400)."""

_TEMPLATES = {tuple(each.lower().split("/")[1:]): each for each in TEMPLATES}
_WITH_KEY = re.compile(r"([A-Za-z]+)\((?:id=)?'((?:[^']|'')*)'\)", re.DOTALL)


def place(path: str) -> Place:
    """The place of a path below `/v1.0`, escapes and all. Raises GraphError 400."""
    segments: list[str] = []
    keys: dict[int, Key] = {}
    for raw in path.split("/")[1:]:
        try:
            text = decoded(raw)
        except ValueError as error:
            raise malformed("The request URI is not valid UTF-8.") from error
        match = _WITH_KEY.fullmatch(text)
        if match is not None:  # users('key'), with apostrophes doubled (OData 4.01 part 2, section 4.3.1)
            segments.append(match.group(1))
            keys[len(segments)] = Key(match.group(2).replace("''", "'"), quoted=True)
            segments.append("")
            continue
        keys[len(segments)] = Key(text)
        segments.append(text)
    lower = [text.lower() for text in segments]
    for pattern, template in _TEMPLATES.items():
        if len(pattern) == len(lower) and all(
            want in ("{id}", have) for want, have in zip(pattern, lower, strict=True)
        ):
            found = tuple(keys[index] for index, want in enumerate(pattern) if want == "{id}")
            if any(not each.quoted and each.value.startswith("$") for each in found):
                break  # a key that begins with a dollar sign is only taken as users('$...')
            return Place(template, found)
    raise _unknown(segments)


def _unknown(segments: list[str]) -> GraphError:
    """400, naming the first segment that leads nowhere."""
    for count in range(1, len(segments) + 1):
        start = tuple(text.lower() for text in segments[:count])
        if not any(
            all(want in ("{id}", have) for want, have in zip(pattern, start, strict=False))
            for pattern in _TEMPLATES
            if len(pattern) >= count
        ):
            return no_segment(segments[count - 1])
    return no_segment(segments[-1])
