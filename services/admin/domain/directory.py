"""The connection to a tenant's Entra directory as an administrator sets it, and what provisioning says of it. Pure."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

from services.admin.domain.names import check_host, shown
from shared.contracts.provisioning import (
    GUID,
    ConnectionSecrets,
    Licence,
    WhenRemoved,
    WhenSuspended,
)
from shared.errors import BadInput

MAX_PROPERTIES = 32 * 1024
MAX_PEM = 8192
"""Characters of a certificate or a key, as `ConnectionSecrets` takes them."""
MAX_KEY_BITS = 4096
PROPERTIES = ("client_id", "tenant_domain", "client_secret", "certificate", "private_key")
PLACEHOLDER = re.compile(
    r"<.*>|\{.*\}|\[.*\]|\.{3}|…|[xX*]{3,}|(?i:.*\b(your|replace|paste|insert|todo|changeme|example_?(id|secret))\b.*)"
)
"""What templates have where a value is to go."""


@dataclass(frozen=True, slots=True)
class DirectorySettings:
    """What was asked of provisioning last. Its secrets are kept nowhere here."""

    tenant: str
    revision: int = 0
    enabled: bool = False
    when_suspended: WhenSuspended = "disable"
    when_removed: WhenRemoved = "delete"
    has_secrets: bool = False
    """Whether any were ever sent."""
    secret_ends_at: datetime | None = None
    """When the secret ends, as an administrator typed it; None: nobody did, or a certificate says it itself."""
    asked_at: datetime | None = None


def read_properties(text: str, now: datetime) -> ConnectionSecrets:
    """The properties that were typed or pasted: a JSON object, whose outer braces may be missing. Raises BadInput,
    which never quotes a secret: for JSON by line and column, otherwise by the name of the property.
    """
    found = _object(text)
    if unknown := [name for name in found if name not in PROPERTIES]:
        raise BadInput(
            "admin.connection.unknown_property", name=shown(unknown[0]), known=", ".join(PROPERTIES)
        )
    for name, value in found.items():
        if not isinstance(value, str):
            raise BadInput("admin.connection.no_text", name=name)
    values = {name: value.strip() for name, value in found.items()}
    if placeholder := next(
        (name for name in PROPERTIES if PLACEHOLDER.fullmatch(values.get(name, ""))), None
    ):
        raise BadInput("admin.connection.placeholder", name=placeholder)
    if missing := [name for name in ("client_id", "tenant_domain") if not values.get(name)]:
        raise BadInput("admin.connection.missing", names=", ".join(missing))
    client_id = values["client_id"].lower()
    if not re.fullmatch(GUID, client_id):
        raise BadInput("admin.connection.client_id")
    tenant_domain = values["tenant_domain"].lower()
    if not re.fullmatch(GUID, tenant_domain):
        tenant_domain = check_host(tenant_domain)
    kinds: Mapping[str, str] = {
        name: values[name] for name in ("client_secret", "certificate", "private_key") if values.get(name)
    }
    if set(kinds) not in ({"client_secret"}, {"certificate", "private_key"}):
        raise BadInput("admin.connection.credential")
    if secret := kinds.get("client_secret"):
        _check_secret(secret)
    else:
        _check_certificate(kinds["certificate"], kinds["private_key"], now)
    return ConnectionSecrets(client_id=client_id, tenant_domain=tenant_domain, **kinds)


def _object(text: str) -> Mapping[str, Any]:
    if len(text) > MAX_PROPERTIES:
        raise BadInput("admin.connection.too_long", longest=MAX_PROPERTIES)
    body = text.strip().removeprefix("\ufeff").strip()
    lines_before = text[: text.find(body)].count("\n") if body else 0
    added = 0
    if not body.startswith("{"):
        body, added = "{" + body, 1
    if not body.endswith("}"):
        body += "}"
    body = re.sub(r",\s*}$", "}", body)
    names: list[str] = []

    def pairs(members: list[tuple[str, Any]]) -> dict[str, Any]:
        names.extend(name for name, _ in members)
        return dict(members)

    try:
        found = json.loads(body, object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        column = error.colno - (added if error.lineno == 1 else 0)
        raise BadInput(
            "admin.connection.json",
            line=error.lineno + lines_before,
            column=max(column, 1),
            what=error.msg.lower(),
        ) from None
    except RecursionError:
        raise BadInput("admin.connection.json", line=1, column=1, what="nested too deeply") from None
    except ValueError:  # of thousands of digits
        raise BadInput("admin.connection.json", line=1, column=1, what="too long a number") from None
    if doubled := next((name for name in names if names.count(name) > 1), None):
        raise BadInput("admin.connection.doubled", name=shown(doubled))
    assert isinstance(found, dict), "it begins with a brace"
    return found


def _check_secret(secret: str) -> None:
    """Raises BadInput for what cannot be the value of a secret."""
    if re.fullmatch(GUID, secret.lower()):
        raise BadInput("admin.connection.secret_id")
    if len(secret) > 512 or not secret.isascii() or not secret.isprintable() or " " in secret:
        raise BadInput("admin.connection.secret_malformed")


def _check_certificate(certificate: str, private_key: str, now: datetime) -> None:
    """Raises BadInput for a certificate that cannot sign in.

    A library that loads a key tests whether its primes are some. For large ones that takes minutes, in which this
    process does nothing else, so the sizes are looked at first. Those of a 4096-bit key take 0.2 s.
    """
    # Imported here because every command of the command line would wait for it, and hardly one needs it.
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    for name, text in (("certificate", certificate), ("private_key", private_key)):
        if len(text) > MAX_PEM:
            raise BadInput("admin.connection.pem_too_long", name=name, longest=MAX_PEM)
    octets = private_key.encode()
    try:
        read = x509.load_pem_x509_certificate(certificate.encode())
        certified = read.public_key()
        key = load_pem_private_key(octets, password=None, unsafe_skip_rsa_key_validation=True)
        if not isinstance(key, RSAPrivateKey) or key.public_key() != certified:
            raise BadInput("admin.connection.other_key")
        numbers = key.private_numbers()
        half = (key.key_size + 1) // 2
        if key.key_size > MAX_KEY_BITS or max(numbers.p.bit_length(), numbers.q.bit_length()) > half:
            raise BadInput("admin.connection.key_size", longest=MAX_KEY_BITS)
        load_pem_private_key(octets, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadInput("admin.connection.certificate") from None
    if read.not_valid_after_utc <= now:
        raise BadInput("admin.connection.certificate_ended", ended=f"{read.not_valid_after_utc:%Y-%m-%d}")


def read_end(text: str, now: datetime) -> datetime | None:
    """The end of a secret, typed as the day that Entra shows (`2027-05-31`): its beginning in UTC, so that nobody is
    warned too late. None: nothing was typed. Raises BadInput. Not verified: what Entra says of the secret.
    """
    if not text.strip():
        return None
    try:
        day = date.fromisoformat(text.strip())
    except ValueError:
        raise BadInput("admin.connection.end", text=shown(text)) from None
    ends = datetime.combine(day, time(), UTC)
    if ends <= now:
        raise BadInput("admin.connection.end_past", ended=day.isoformat())
    return ends


def read_licence(text: str, known: Sequence[Licence]) -> str:
    """The SKU id of a licence, named by it or by Microsoft's name. `known`: what the directory has, as far as it was
    read. Raises BadInput for a name that is not among them.
    """
    if re.fullmatch(GUID, text.strip().lower()):
        return text.strip().lower()
    sku = next((each.sku for each in known if each.name.upper() == text.strip().upper()), None)
    if sku is None:
        names = ", ".join(each.name for each in known) or "none"
        raise BadInput("admin.licence.unknown", licence=shown(text), known=names)
    return sku


def licences_typed(values: Mapping[str, str]) -> tuple[str, ...]:
    """The licences that a form chooses: the boxes `licence.{SKU id}`, and in `skus` SKU ids or names with spaces or
    commas between. Not checked: that there are such.
    """
    ticked = [name.removeprefix("licence.") for name in values if name.startswith("licence.")]
    return (*ticked, *(each for each in re.split(r"[\s,;]+", values.get("skus", "")) if each))
