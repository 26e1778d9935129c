"""admin: tenants, applications, domains, accounts, invitations, and which keys count. The only service that says who
exists, and the only one that decides when a key begins to count and when it stops.

Theory of operation
-------------------
Who exists is four aggregates. Each is one document, and each step is one conditional update (the expected version is
in its filter) that stores the outgoing message in the document's outbox:

    tenant      its applications, domains and policy            -> admin.tenant.configured.v1
    account     invited, active, suspended, removed             -> admin.account.changed.v1,
                                                                   admin.contact.changed.v1
    invitation  open, used, withdrawn, expired                  -> admin.invitation.changed.v1
    authenticator  trusted, refused, revoked                    -> admin.authenticator.changed.v1

An account's status follows one table, `domain.accounts.TRANSITIONS`:

                    enrol                suspend
        invited -----------> active ---------------> suspended
           |                    ^                     |  ^ |
           |                    +------ resume -------+  | | resume, when no phone was ever enrolled:
           +----------------- suspend -------------------+ +-> invited
        any of them -- remove --> removed -- restore, for 30 days --> invited, or suspended if it was
                                     +-- 30 days later --> a tombstone; its user name is free again

`suspend`, `remove` and `sign out everywhere`, which leaves the status as it is, raise the account's session epoch:
whatever was begun for the person before counts no longer (docs/flows/sign-out-everywhere.md).

An invitation is an Ed25519 key pair. The seed is drawn here, goes into the fragment of the link that `invite`
returns once, and is not stored; the public half is stored and published. The database holds at most one open
invitation for an account (a unique index), so a new one withdraws the one before.

`approval.device.changed.v1` spends the invitation, makes the device's key trusted and the account active, but only
when the endorsement in it verifies against that invitation's own public key, and the invitation holds by this
service's own clock: approval is not believed. Otherwise the key is refused, with a reason that an administrator sees.
A revoked key is the tombstone of itself, under whatever device id it comes back (`domain/authenticators.py`). An
invitation that brought no device is marked expired by a sweeper, ten minutes after its end.

The console (docs/flows/console-sign-in.md): administrators sign in by passkeys of the console's own RP ID. Who they are
is the aggregate `administrator`; what they may do in a tenant is the aggregate `team`, one for each tenant, and the
table `domain.roles.RULES` from act to role. Session, administrator and team are read at each request.

URLs, all on the console's host; `routes.ROUTES` has each with its act:

    /                          the tenant, or a choice of several      /organisations  that choice
    /sign-in, /sign-out, /step-up                                      a passkey, and again before some acts
    /join/{tenant}/{id}        a one-time link, its secret in the fragment
    /account/...               own passkeys and sessions
    /t/{tenant}/people/...     people                                  /t/{tenant}/administrators/...  the team
    /t/{tenant}/applications/...  applications and the sign-in policy
    /t/{tenant}/federation/...    domains, and what Entra is told of each
    /t/{tenant}/configuration/... what must be right in Microsoft 365
    /t/{tenant}/changes        what administrators did

Queue: `admin`, fed by the table in `consumers.py`.
"""

from pathlib import Path

from shared.errors import add_catalogue

add_catalogue(Path(__file__).parent / "errors")
