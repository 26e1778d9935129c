"""What approval knows about accounts, devices and challenges, without I/O, clock or chance.

- `account`: the types; one `Account` is one document
- `lifecycle`: the states of a challenge and the table of what leads from one to another
- `challenges`: open, claim, approve, refuse, expire, with supersession and quotas
- `notifications`: whose phones are told of a request
- `enrolment`: what admin told us, spending an invitation, devices
- `context`: the text that the phone signed, against the one that wsfed sent
- `networks`: whether two addresses belong to one network
- `ceremony`: WebAuthn registration and authentication, verified with py_webauthn
"""
