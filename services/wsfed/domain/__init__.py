"""What wsfed knows about WS-Federation and SAML 1.1, without I/O, clock or chance.

- `request`: what Entra ID asks for, parsed from the query or form of a passive request
- `authentication`: what a person really proved, and what may be claimed about it (the MFA truth table)
- `options`: what may happen next: which methods a tenant takes in which browsers, and what a page offers
- `token`: the signed SAML 1.1 assertion in its RequestSecurityTokenResponse, and the form that carries it
- `keys`: signing keys and their certificates
- `metadata`, `mex`: the documents that describe us to Entra ID
- `xmltext`: text that goes into XML
- `transaction`: one request of Entra ID in one browser, from its arrival to its token, and its table of states
- `session`: what a browser remembers of an account; `browser`: the list of such browsers, for administrators
- `context`: what a phone shows and signs
- `proof`, `trust`: our own check of an approval, and why a phone's key is believed
"""
