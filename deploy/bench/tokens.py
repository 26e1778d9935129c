"""token_sign_vs_rsa: tokens per second over raw RSA signatures per second, on one core.

A token is everything that `issue_token` does: checks, claims, text, digest, signature, the response around it.
The raw side is `cryptography`'s RSASSA-PKCS1-v1_5 with SHA-256 by the same key over octets as long as SignedInfo.
For reference signxml signs the same assertion (lxml, exclusive canonicalization), without building it. Seconds are
those of the core (this thread's CPU clock), so that another program on it does not count against either side.
"""

import time
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key
from lxml import etree
from signxml.algorithms import (
    CanonicalizationMethod,
    DigestAlgorithm,
    SignatureConstructionMethod,
    SignatureMethod,
)
from signxml.signer import XMLSigner

from deploy.bench.machine import one_core
from deploy.bench.measure import Rate, in_turns
from services.wsfed.domain.authentication import AuthenticationPolicy, Method, VerifiedAuthentication
from services.wsfed.domain.keys import RsaSigningKey, create_signing_key
from services.wsfed.domain.token import TokenSubject, issue_token, new_assertion_id
from shared.clouds import CLOUDS
from shared.ids import Ids, SystemIds

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
SIGNED_INFO_OCTETS = 718
_SIGNATURE = "{http://www.w3.org/2000/09/xmldsig#}Signature"


class Tokens:
    """One key, and the three things done with it."""

    def __init__(self, ids: Ids | None = None) -> None:
        self._ids = ids or SystemIds()
        self._key = create_signing_key("Blok365 bench", NOW - timedelta(days=1), 3)
        private = load_der_private_key(self._key.private_der(), password=None)
        assert isinstance(private, rsa.RSAPrivateKey)
        self.private = private
        self.message = bytes(SIGNED_INFO_OCTETS)
        self._policy = AuthenticationPolicy()
        self._verified = VerifiedAuthentication(
            tenant="contoso",
            account="a" * 22,
            method=Method.BLOKKEY_PUSH,
            user_verified=True,
            registered_kiosk=False,
            authenticated_at=NOW - timedelta(seconds=3),
        )
        self._subject = TokenSubject(
            tenant="contoso",
            account="a" * 22,
            issuer="http://contoso.example/blok365/issuer",
            upn="ada.lovelace@contoso.example",
            immutable_id="i" * 22,
        )
        self._unsigned = self._without_signature(self.token())
        self._signer = XMLSigner(
            method=SignatureConstructionMethod.enveloped,
            signature_algorithm=SignatureMethod.RSA_SHA256,
            digest_algorithm=DigestAlgorithm.SHA256,
            c14n_algorithm=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0,
        )

    @property
    def key(self) -> RsaSigningKey:
        """The key that all three use."""
        return self._key

    def token(self) -> str:
        """Issue a whole token of ours, with an id of its own."""
        return issue_token(
            self._verified,
            self._subject,
            self._key,
            policy=self._policy,
            audience=CLOUDS["worldwide"].realm,
            now=NOW,
            assertion_id=new_assertion_id(self._ids),
            requested_at=NOW - timedelta(seconds=20),
            mfa_wanted=True,
        )

    def signature(self) -> bytes:
        """The bare signature."""
        return self.private.sign(self.message, padding.PKCS1v15(), hashes.SHA256())

    def signxml(self) -> etree._Element:
        """Sign the same assertion with signxml."""
        signed: etree._Element = self._signer.sign(
            self._unsigned,
            key=self.private,
            cert=[self.certificate_pem],
            reference_uri=self._unsigned.get("AssertionID"),
            id_attribute="AssertionID",
        )
        return signed

    def _without_signature(self, token: str) -> etree._Element:
        certificate = x509.load_der_x509_certificate(self._key.certificate)
        self.certificate_pem = certificate.public_bytes(Encoding.PEM).decode()
        parser = etree.XMLParser(resolve_entities=False, no_network=True)
        assertion = etree.fromstring(token.encode(), parser).find(".//{*}Assertion")
        assert assertion is not None
        for signature in assertion.findall(_SIGNATURE):
            assertion.remove(signature)
        # copied, so that it is a document of its own and not part of the response
        return etree.fromstring(etree.tostring(assertion), parser)


def run(*, rounds: int = 11, seconds: float = 0.25) -> dict[str, object]:
    """Both sides and signxml, turn by turn, on one core."""
    tokens = Tokens()
    with one_core():
        ours, raw, library = in_turns(
            [tokens.token, tokens.signature, tokens.signxml],
            rounds=rounds,
            seconds=seconds,
            clock=time.thread_time,
        )
    return report(ours, raw, library)


def report(ours: Rate, raw: Rate, library: Rate) -> dict[str, object]:
    """The ratio with both sides."""
    return {
        "ratio": round(ours.median / raw.median, 3),
        "aim": 0.9,
        "tokens": ours.json(),
        "raw_rsa_2048": raw.json(),
        "signxml_reference": {**library.json(), "ratio": round(library.median / raw.median, 3)},
    }
