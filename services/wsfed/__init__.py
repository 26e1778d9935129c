"""wsfed: the identity provider's face to Entra ID and to browsers.

Theory of operation. Entra redirects a browser to `/t/{tenant}/wsfed`. The request becomes a transaction, bound to
the browser by a cookie, and the browser is sent to `/signin/{transaction}`, the page where the person chooses how
to prove who they are. A proof arrives on the bus; wsfed verifies it again itself, writes it into the transaction
and wakes the page; the page posts for its token; the issuance record is made durable; the token is signed and goes
to Microsoft through the browser. The states are in `domain/transaction.py`, the steps in docs/flows/sign-in.md.

| URL | step |
|---|---|
| GET, POST /t/{tenant}/wsfed | 1: Entra's request |
| GET /t/{tenant}/{domain}/FederationMetadata/2007-06/FederationMetadata.xml, /mex | what describes us to Entra |
| GET /signin/{transaction} | 2: the page |
| POST /signin/{transaction}/account, push, qr | 3 |
| POST /signin/{transaction}/passkey/challenge, passkey | docs/flows/passkey.md, 2 and 5 |
| GET /signin/{transaction}/events, state | 9 |
| POST /signin/{transaction}/token | 10 |

Queue `wsfed`: the table in `consumers.py`. Hints on `wsfed.transaction` wake pages on every replica.
"""

from pathlib import Path

from shared.errors import add_catalogue

add_catalogue(Path(__file__).parent / "errors")
