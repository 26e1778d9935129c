"""Which ways of signing in a tenant takes, and in which browsers (docs/flows/passkey.md)."""

from shared.contracts.admin import SignInPolicy


def phone_may(policy: SignInPolicy, *, enrolled: bool) -> bool:
    """Whether push and QR are offered and accepted in a browser. `enrolled`: a passkey has vouched for it.

    | policy         | any browser | enrolled browser |
    |----------------|-------------|------------------|
    | open           | yes         | yes              |
    | known_browsers | no          | yes              |
    | passkeys_only  | no          | no               |
    """
    match policy:
        case "open":
            return True
        case "known_browsers":
            return enrolled
        case "passkeys_only":
            return False
