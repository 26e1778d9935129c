"""What approval knows about accounts, devices and challenges, without I/O, clock or chance.

- `account`: the types; one `Account` is one document
- `challenges`: open, approve, deny, expire: the life of a request to a phone, with supersession and quotas
- `enrolment`: what admin told us, spending an invitation, devices
- `context`: the text that the phone signed, against the one that wsfed sent
- `ceremony`: WebAuthn registration and authentication, verified with py_webauthn
"""
