"""Reading what a client sent, strictly: limits first, UTF-8 or nothing, a doubled name is refused.

Two programs that read `a=1&a=2` differently disagree about what was asked; so nobody gets to read it.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote_to_bytes

from aiohttp import web

from shared.addresses import Address, ClientNetworks, is_private, parse_address, within
from shared.errors import BadInput, TooLarge

MAX_LINE = 16384
"""Longest request line and header line in octets; aiohttp refuses longer ones before a handler runs."""
MAX_PARAMETERS = 64
UNKNOWN = "unknown"
"""What stands for an address that is not known. It is on nobody's network."""
_READS_RAW_QUERY = "reads_raw_query"

Wrapped = TypeVar("Wrapped", bound=Callable[..., Awaitable[web.StreamResponse]])


def reads_raw_query(handler: Wrapped) -> Wrapped:
    """Mark a handler that reads the octets of its query itself and has a use for some that are not UTF-8."""
    handler.__dict__[_READS_RAW_QUERY] = True
    return handler


def check_request(request: web.Request) -> None:
    """Refuse what no handler should see: a body announced over the limit (TooLarge), and a path or query that
    is not percent-encoded UTF-8 without control characters (BadInput). The query is left alone where the handler is
    marked by `reads_raw_query`.
    """
    if (request.content_length or 0) > request.client_max_size:
        raise TooLarge
    raw = request.raw_path
    if not raw.isascii():
        raise BadInput("shared.address.not_encoded")
    path, _, query = raw.partition("?")
    text = _utf8(unquote_to_bytes(path), "The address")
    if any(c < " " or c == "\x7f" for c in text):
        raise BadInput("shared.address.control_characters")
    if getattr(request.match_info.handler, _READS_RAW_QUERY, False) is not True:
        _utf8(unquote_to_bytes(query.replace("+", " ")), "The address")


def parse_parameters(raw: str, *, max_parameters: int = MAX_PARAMETERS) -> dict[str, str]:
    """The parameters of an `application/x-www-form-urlencoded` text, each byte for byte as sent, decoded.

    Raises BadInput: bad UTF-8, more than `max_parameters`, a name twice.
    """
    try:
        pairs = parse_qsl(raw, keep_blank_values=True, errors="strict", max_num_fields=max_parameters)
    except UnicodeDecodeError:
        raise BadInput("shared.parameter.not_utf8") from None
    except ValueError:
        raise BadInput("shared.parameter.too_many", limit=max_parameters) from None
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadInput("shared.parameter.repeated")
    return found


async def form(request: web.Request) -> dict[str, str]:
    """The fields of a posted form. Raises BadInput, TooLarge; files and multipart are not read."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise BadInput("shared.body.not_a_form")
    text = _utf8(await read_body(request), "The form")
    return parse_parameters(text)


async def read_json(request: web.Request) -> dict[str, Any]:
    """The JSON object in the body. Raises BadInput (type, UTF-8, syntax, doubled key, not an object), TooLarge.

    Half a code point, which JSON can escape, is no UTF-8 either: no database or signature could take it.
    """
    if request.content_type != "application/json":
        raise BadInput("shared.body.not_json")
    text = _utf8(await read_body(request), "The body")
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise BadInput("shared.body.broken_json") from None
    if not isinstance(value, dict):
        raise BadInput("shared.body.not_an_object")
    return value


async def read_body(request: web.Request) -> bytes:
    """The whole body, at most the application's limit. Raises TooLarge."""
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise TooLarge from None


def client_address(request: web.BaseRequest, networks: ClientNetworks) -> str:
    """The address of who asks: the last hop added by a trusted proxy, otherwise the peer itself; or `UNKNOWN`.

    X-Forwarded-For is read from the right, and only as long as the hop that wrote an entry is trusted; what a
    client writes into it itself is never reached.

    It is not known where reading ends at an entry that is no address (`192.0.2.1:4711` is none), at a proxy, or at a
    private address: that is what everybody looks like who comes through a proxy that the operator has not named, and
    would put them all on one network. An address in one of the operator's own networks is known all the same.
    """
    address = _address(request.remote or "")
    hops = [hop for hop in ",".join(request.headers.getall("X-Forwarded-For", [])).split(",") if hop.strip()]
    while address is not None and hops and within(address, networks.proxies):
        address = _address(hops.pop().strip())
    if address is None:
        return UNKNOWN
    nobodys = is_private(address) or within(address, networks.proxies)
    return UNKNOWN if nobodys and not within(address, networks.own) else str(address)


def _address(text: str) -> Address | None:
    return parse_address(text.removeprefix("[").partition("]")[0].partition("%")[0])


def _utf8(data: bytes, what: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise BadInput("shared.body.not_utf8", what=what) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("doubled key")
    return made


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
