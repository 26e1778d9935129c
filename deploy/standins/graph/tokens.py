"""The token endpoint of login.microsoftonline.com: client credentials, and the tokens that Graph then believes.

The access token has a JWT's form (Microsoft's has too, and says that nobody but Graph may read it), but is signed
with HMAC under a key of this program, because nobody else has to check it.

Errors are rows of `FAULTS`: Microsoft's number, the OAuth error, the HTTP status and the words. Sources: Microsoft's
list of AADSTS codes and recorded traffic. Not verified: the exact words of 700021, 700024 and 50027 today.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeGuard
from urllib.parse import parse_qsl

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from deploy.standins.graph.errors import unauthorized
from deploy.standins.graph.exchange import Answer, Json, Request
from deploy.standins.graph.model import Application, new_guid
from deploy.standins.graph.tenant import Tenant
from shared.ids import Ids, b64u

SCOPE = "https://graph.microsoft.com/.default"
AUDIENCE = "https://graph.microsoft.com"
LIFE = timedelta(seconds=3599)
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
MAX_FORM_FIELDS = 30

FAULTS: dict[int, tuple[str, int, str]] = {
    90002: (
        "invalid_request",
        400,
        "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the "
        "correct cloud. Check with your subscription administrator, this may happen if there are no active "
        "subscriptions for the tenant.",
    ),
    900144: ("invalid_request", 400, "The request body must contain the following parameter: '{parameter}'."),
    9000410: ("invalid_request", 400, "Malformed JSON."),
    70003: ("unsupported_grant_type", 400, "The app requested an unsupported grant type '{grant}'."),
    1002012: (
        "invalid_scope",
        400,
        "The provided value for scope {scope} is not valid. Client credential flows must have a scope value with "
        "/.default suffixed to the resource identifier (application ID URI).",
    ),
    500011: (
        "invalid_resource",
        400,
        "The resource principal named {scope} was not found in the tenant named {tenant}.",
    ),
    700016: (
        "unauthorized_client",
        400,
        "Application with identifier '{client}' was not found in the directory '{tenant}'. This can happen if the "
        "application has not been installed by the administrator of the tenant or consented to by any user in the "
        "tenant. You may have sent your authentication request to the wrong tenant.",
    ),
    7000112: ("unauthorized_client", 400, "Application '{client}'({name}) is disabled."),
    7000215: (
        "invalid_client",
        401,
        "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, "
        "not the client secret ID, for a secret added to app '{client}'.",
    ),
    7000222: (
        "invalid_client",
        401,
        "The provided client secret keys for app '{client}' are expired. Visit the Azure portal to create new keys "
        "for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added "
        "security: https://aka.ms/certCreds.",
    ),
    7000216: (
        "invalid_client",
        401,
        "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.",
    ),
    90033: ("temporarily_unavailable", 503, "A transient error has occurred. Please try again."),
    90055: ("temporarily_unavailable", 429, "There are too many incoming requests. Please try again later."),
    50027: ("invalid_request", 400, "JWT token is invalid or malformed."),
    700021: (
        "invalid_client",
        401,
        "Client assertion application identifier doesn't match 'client_id' parameter.",
    ),
    700023: ("invalid_client", 401, "Client assertion audience claim does not match Realm issuer."),
    700024: (
        "invalid_client",
        401,
        "Client assertion is not within its valid time range. Current time: {now}, assertion valid from {start}, "
        "expiry time of assertion {end}.",
    ),
    700027: (
        "invalid_client",
        401,
        "The certificate with identifier used to sign the client assertion is not registered on application. "
        "[Reason - The key was not found., Thumbprint of key used by client: '{thumbprint}']",
    ),
}
"""Microsoft's number: (OAuth error, HTTP status, what is said after `AADSTSnnn: `)."""

BAD_SIGNATURE = (
    "Client assertion failed signature validation. [Reason - The key was found, but use of the key to "
    "verify the signature failed., Thumbprint of key used by client: '{thumbprint}']"
)


class TokenRefused(Exception):
    """A row of `FAULTS` with its values."""

    def __init__(self, number: int, *, words: str | None = None, **values: str) -> None:
        error, status, said = FAULTS[number]
        self.number = number
        self.error = error
        self.status = status
        self.message = f"AADSTS{number}: {(words or said).format(**values)}"
        super().__init__(self.message)

    def answer(
        self, *, now: datetime, trace_id: str, correlation_id: str, retry_after: int | None = None
    ) -> Answer:
        """As the token endpoint says it (RFC 6749 section 5.2, and Microsoft's additions)."""
        at = now.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        said = f"{self.message} Trace ID: {trace_id} Correlation ID: {correlation_id} Timestamp: {at}"
        body: Json = {
            "error": self.error,
            "error_description": said,
            "error_codes": [self.number],
            "timestamp": at,
            "trace_id": trace_id,
            "correlation_id": correlation_id,
            "error_uri": f"https://login.microsoftonline.com/error?code={self.number}",
        }
        wait = {"Retry-After": str(retry_after)} if retry_after is not None else {}
        return Answer(self.status, body, {**_NEVER_STORED, **wait})


_NEVER_STORED = {"Cache-Control": "no-store, no-cache", "Pragma": "no-cache"}


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a verified access token names."""

    tenant_id: str
    client_id: str
    roles: frozenset[str]
    token_id: str


def form_of(request: Request) -> dict[str, str]:
    """The form's fields. Raises TokenRefused 900144 when it is none; a field that is there twice counts as none."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise TokenRefused(900144, parameter="grant_type")
    try:
        pairs = parse_qsl(
            request.body.decode("ascii"),
            keep_blank_values=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=MAX_FORM_FIELDS,
        )
    except ValueError as error:
        raise TokenRefused(900144, parameter="grant_type") from error
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise TokenRefused(900144, parameter=name)
        found[name] = value
    return found


def issue(
    request: Request,
    *,
    tenant_name: str,
    tenant: Tenant | None,
    endpoint: str,
    key: bytes,
    now: datetime,
    ids: Ids,
) -> Json:
    """The answer to a good request, as a JSON object. Raises TokenRefused.

    `tenant_name` is as the path says it, a GUID or a domain; `endpoint` the address that was posted to (the audience
    of a client assertion); `key` signs the token.
    """
    form = form_of(request)
    for parameter in ("grant_type", "client_id"):
        if not form.get(parameter):
            raise TokenRefused(900144, parameter=parameter)
    if tenant is None:
        raise TokenRefused(90002, tenant=tenant_name)
    if form["grant_type"] != "client_credentials":
        raise TokenRefused(70003, grant=form["grant_type"])
    _check_scope(form.get("scope", ""), tenant)
    application = tenant.applications.get(form["client_id"].lower())
    if application is None:
        raise TokenRefused(700016, client=form["client_id"], tenant=tenant.name)
    if not application.enabled:
        raise TokenRefused(7000112, client=application.client_id, name=application.name)
    if "client_assertion" in form:
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise TokenRefused(900144, parameter="client_assertion_type")
        _check_assertion(form["client_assertion"], application, endpoint=endpoint, now=now)
    elif form.get("client_secret"):
        _check_secret(form["client_secret"], application, now)
    else:
        raise TokenRefused(7000216)
    token = sign(application, tenant.id, key=key, now=now, ids=ids)
    seconds = int(LIFE.total_seconds())
    return {"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token}


def _check_scope(scope: str, tenant: Tenant) -> None:
    if not scope:
        raise TokenRefused(900144, parameter="scope")
    if not scope.endswith("/.default") or " " in scope:
        raise TokenRefused(1002012, scope=scope)
    if scope != SCOPE:
        raise TokenRefused(500011, scope=scope.removesuffix("/.default"), tenant=tenant.name)


def _check_secret(given: str, application: Application, now: datetime) -> None:
    for secret in application.secrets:
        if hmac.compare_digest(secret.value.encode(), given.encode()):
            if secret.expires is not None and secret.expires <= now:
                raise TokenRefused(7000222, client=application.client_id)
            return
    raise TokenRefused(7000215, client=application.client_id)


def _check_assertion(jwt: str, application: Application, *, endpoint: str, now: datetime) -> None:
    """RFC 7523 section 3, with Microsoft's profile: PS256 or RS256, the certificate's thumbprint in the header."""
    signed, _, signature = jwt.rpartition(".")
    try:
        header, claims = (_object(part) for part in signed.split("."))
        octets = _octets(signature)
    except (ValueError, RecursionError) as error:
        raise TokenRefused(50027) from error
    sha1, sha256 = header.get("x5t"), header.get("x5t#S256")
    certificate = next(
        (der for der in application.certificates if _thumbprint(der, sha1=sha1, sha256=sha256)), None
    )
    thumbprint = str(sha256 or sha1 or "")[:64]
    if certificate is None:
        raise TokenRefused(700027, thumbprint=thumbprint)
    key = x509.load_der_x509_certificate(certificate).public_key()
    if not isinstance(key, RSAPublicKey) or not _signed(key, header.get("alg"), signed.encode(), octets):
        raise TokenRefused(700027, words=BAD_SIGNATURE, thumbprint=thumbprint)
    if claims.get("iss") != application.client_id or claims.get("sub") != application.client_id:
        raise TokenRefused(700021)
    if claims.get("aud") != endpoint:
        raise TokenRefused(700023)
    start, end = claims.get("nbf", claims.get("iat", 0)), claims.get("exp")
    if not _is_time(start) or not _is_time(end) or not isinstance(claims.get("jti"), str):
        raise TokenRefused(50027)
    seconds = now.timestamp()
    if not start - 300 <= seconds < end or end - seconds > 24 * 3600:  # five minutes of skew, a day of life
        raise TokenRefused(700024, now=now.isoformat(), start=_iso(start), end=_iso(end))


def _is_time(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40


def _iso(seconds: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=min(seconds, 1 << 37))).isoformat()


def _thumbprint(der: bytes, *, sha1: object, sha256: object) -> bool:
    """Does the header name this certificate? SHA-256 counts where both are given (RFC 7515 section 4.1.8)."""
    if sha256 is not None:
        return _unpadded(sha256) == b64u(hashlib.sha256(der).digest())
    return _unpadded(sha1) == b64u(hashlib.sha1(der).digest())  # noqa: S324 - a name, not a proof


def _unpadded(text: object) -> str:
    """MSAL writes the padding that RFC 7515 leaves out; Microsoft takes both."""
    return text.rstrip("=") if isinstance(text, str) else ""


def _signed(key: RSAPublicKey, algorithm: object, octets: bytes, signature: bytes) -> bool:
    schemes: dict[object, padding.AsymmetricPadding] = {
        "PS256": padding.PSS(padding.MGF1(SHA256()), 32),
        "RS256": padding.PKCS1v15(),
    }
    if algorithm not in schemes:
        return False
    try:
        key.verify(signature, octets, schemes[algorithm], SHA256())
    except InvalidSignature:
        return False
    return True


def sign(application: Application, tenant_id: str, *, key: bytes, now: datetime, ids: Ids) -> str:
    """An access token for that application."""
    seconds = int(now.timestamp())
    claims: Json = {
        "aud": AUDIENCE,
        "iss": f"https://sts.windows.net/{tenant_id}/",
        "iat": seconds,
        "nbf": seconds,
        "exp": seconds + int(LIFE.total_seconds()),
        "app_displayname": application.name,
        "appid": application.client_id,
        "appidacr": "2" if application.certificates and not application.secrets else "1",
        "idtyp": "app",
        "roles": sorted(application.permissions),
        "tid": tenant_id,
        "uti": b64u(ids.random_bytes(16)),
        "ver": "1.0",
    }
    if not claims["roles"]:
        del claims["roles"]  # as Microsoft's token without consent
    header = {"typ": "JWT", "alg": "HS256"}
    signed = ".".join(b64u(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
    return f"{signed}.{b64u(_mac(key, signed))}"


def verify(authorization: str, *, key: bytes, now: datetime) -> Caller:
    """The caller of a request with this Authorization header. Raises GraphError 401."""
    scheme, _, token = authorization.partition(" ")
    if not authorization:
        raise unauthorized("Access token is empty.")
    if scheme.lower() != "bearer":
        raise unauthorized("Access token is empty.")
    if token.count(".") != 2:
        raise unauthorized("IDX14100: JWT is not well formed, there are no dots (.).")
    signed, _, signature = token.rpartition(".")
    try:
        mac = _octets(signature)
    except ValueError as error:
        raise unauthorized("IDX12729: Unable to decode the token.") from error
    if not hmac.compare_digest(mac, _mac(key, signed)):
        raise unauthorized("Signature is invalid.")
    claims = _object(signed.partition(".")[2])  # our own words: nobody else has the key
    if claims["exp"] <= now.timestamp():
        raise unauthorized("Lifetime validation failed, the token is expired.")
    return Caller(claims["tid"], claims["appid"], frozenset(claims.get("roles", ())), claims["uti"])


def _mac(key: bytes, signed: str) -> bytes:
    return hmac.digest(key, signed.encode(), "sha256")


def _octets(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64url") from error


def _object(part: str) -> Mapping[str, Any]:
    found = json.loads(_octets(part))
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return found


def certificate(text: str) -> bytes:
    """DER octets of a certificate in base64. Raises ValueError."""
    der = base64.b64decode(text, validate=True)
    x509.load_der_x509_certificate(der)
    return der


def trace(ids: Ids) -> tuple[str, str]:
    """A trace id and a correlation id."""
    return new_guid(ids), new_guid(ids)
