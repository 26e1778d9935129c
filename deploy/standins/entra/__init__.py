"""A strict stand-in for Microsoft Entra ID as the WS-Federation relying party. For tests, never for people.

It asks a federated domain's identity provider to sign somebody in, exactly in the shapes Entra uses
(`requests`), and believes the answer only after it has checked all of it (`tokens`, `verify`). It shares
no code with the services: XML is read with lxml and the signature is checked here, step by step, with
exclusive c14n and `cryptography`. The services sign (and their own tests check) with signxml; using it
here too would let one library's bug hide on both sides.

Stricter than Entra on purpose: no clock skew, an exact layout, one use per assertion, an answer only to
a request that it made itself. Codes are Microsoft's, the details are ours.
"""
