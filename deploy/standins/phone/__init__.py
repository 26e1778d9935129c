"""A phone in software: BlokKey without a screen, for tests, demo and bench. Never for people.

It keeps its keys in a file instead of a secure element, and "verifies its user" because it says so. What it sends
is what a browser or a native app would send; it believes of the server's answers only what a phone must: that the
request it signs is the one whose context it was given.

- `authenticator`: keys, authenticatorData, attestation object, assertions (Web Authentication Level 3)
- `request`: what a phone makes sure of before it signs a request
- `phone`: `SoftPhone`, the client of `/api`
- `python -m deploy.standins.phone`: the same as a command line
"""

from deploy.standins.phone.authenticator import Key, Tamper
from deploy.standins.phone.phone import PhoneError, SoftPhone
from deploy.standins.phone.request import NotShown, Request

__all__ = ["Key", "NotShown", "PhoneError", "Request", "SoftPhone", "Tamper"]
