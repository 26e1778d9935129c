"""A phone vouches for a further phone of its person (docs/flows/further-phone.md): the signature, verified.

The phone signs a statement with the purpose `endorse` that names the new key. wsfed and admin verify it themselves,
each with the endorsing phone's key as it knows it.
"""

from collections.abc import Collection

from shared.contracts.approval import Endorsement
from shared.crypto.assertion import InvalidAssertion, verify_assertion
from shared.crypto.enrolment import NewDeviceKey
from shared.crypto.statement import Purpose, Statement, read_statement
from shared.ids import unb64u


def verify_endorsement(
    endorsement: Endorsement,
    key: NewDeviceKey,
    *,
    endorser_key: bytes,
    origins: Collection[str],
    rp_id: str,
) -> Statement:
    """The statement by which the endorsing phone's key (DER SubjectPublicKeyInfo) vouches for exactly this new key.

    `origins`: where phones sign. Raises InvalidAssertion, ValueError. Not verified: that the endorsing phone counts and
    is of the same account, how old the statement is, the signature counter.
    """
    proof = endorsement.proof
    if endorsement.kind != "authenticator" or proof is None:
        raise InvalidAssertion("not endorsed by a phone")
    statement = read_statement(
        proof.context,
        purpose=Purpose.ENDORSE,
        origins=origins,
        rp_id=rp_id,
        server_nonce=endorsement.server_nonce,
        new_key=key.digest(),
    )
    verify_assertion(
        authenticator_data=unb64u(proof.authenticator_data),
        client_data_json=unb64u(proof.client_data_json),
        signature=unb64u(proof.signature),
        public_key=endorser_key,
        expected_challenge=statement.digest(),
        expected_origins=frozenset({statement.origin}),
        expected_rp_id=rp_id,
    )
    return statement
