"""wsfed: the identity provider's face to Entra ID and to browsers.

Theory of operation. Entra redirects a browser to `/t/{tenant}/wsfed`. The request becomes a transaction, bound to
the browser by a cookie, and the browser is sent to `/signin/{transaction}`, the page where the person chooses how
to prove who they are. A proof arrives on the bus; wsfed verifies it again itself, writes it into the transaction
and wakes the page; the page posts for its token; the issuance record is made durable; the token is signed and goes
to Microsoft through the browser. The states are in `domain/transaction.py`, what a page may offer is decided in
`domain/options.py`, and the steps are those of docs/flows/sign-in.md.

| URL | step | in `routes/` |
|---|---|---|
| GET, POST /t/{tenant}/wsfed | 1: Entra's request; sign-out | passive |
| GET /t/{tenant}/{domain}/mex, .../FederationMetadata/2007-06/FederationMetadata.xml | for Entra | metadata |
| GET /signin/{transaction} | 2: the page | sign_in |
| GET /signin/{transaction}/name | 2: the field for another user name | sign_in |
| POST /signin/{transaction}/account | 2: field `username`; 303 back | sign_in |
| POST /signin/{transaction}/push, qr | 3: starts or repeats that method; 303 back | sign_in |
| POST /signin/{transaction}/passkey | docs/flows/passkey.md, 4; JSON | passkeys |
| GET /signin/{transaction}/events, state | 9: live stream; the same as JSON, for polling | live |
| POST /signin/{transaction}/token | 10: once, from state `proved` | sign_in |
| GET /signin/{transaction}/added | before it: phones that were added lately | sign_in |
| GET /t/{tenant}/me | docs/flows/own-page.md, 1: begins a visit; 303 to the page | own_page |
| GET /signin/{transaction}/me | 4, 7: the person's own page | own_page |
| GET, POST /signin/{transaction}/me/sign-out, phones/{device}/remove | 5: the question, and the act | own_page |
| POST /signin/{transaction}/me/phones/{device}/name, browsers/{browser}/remove | 5; 303 back | own_page |
| GET /t/{tenant}/try | docs/flows/try-it.md, 1: begins a trial; 303 to the page | trial |
| GET /signin/{transaction}/try | 5: its result | trial |
| GET /t/{tenant}/logo/{name} | docs/flows/logo.md, 5: the organisation's logo | logo |
| GET /signin/finished | where Back leads after a token from a session | sign_in |

Queue `wsfed`: the table in `consumers.py`. Signals on `wsfed.transaction` wake pages on every replica (`gateways.py`).
"""

from pathlib import Path

from shared.errors import add_catalogue

add_catalogue(Path(__file__).parent / "errors")
