"""admin: tenants, applications, domains, accounts and invitations. The only service that says who exists.

Theory of operation
-------------------
Three aggregates. Each is one document, and each step is one conditional update (the expected version is in its
filter) that stores the outgoing message in the document's outbox:

    tenant      its applications, domains and policy            -> admin.tenant.configured.v1
    account     invited, active, suspended, removed             -> admin.account.changed.v1,
                                                                   admin.contact.changed.v1
    invitation  open, used, withdrawn                           -> admin.invitation.changed.v1

An account's status follows one table, `domain.accounts.TRANSITIONS`:

                    enrol                suspend
        invited -----------> active ---------------> suspended
           |                    ^                     |  ^ |
           |                    +------ resume -------+  | | resume, when no phone was ever enrolled:
           +----------------- suspend -------------------+ +-> invited
        any of them -- remove --> removed (a tombstone; its user name is free again)

An invitation is an Ed25519 key pair. The seed is drawn here, goes into the fragment of the link that `invite`
returns once, and is not stored; the public half is stored and published. The database holds at most one open
invitation for an account (a unique index), so a new one withdraws the one before.

`approval.device.changed.v1` spends the invitation and makes the account active, but only when the endorsement
in it verifies against that invitation's own public key: approval is not believed.

URLs: none yet. Queue: `admin`, fed by the table in `consumers.py`.
"""

from pathlib import Path

from shared.errors import add_catalogue

add_catalogue(Path(__file__).parent / "errors")
