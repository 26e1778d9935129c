"""A strict stand-in for a Web Push service and for the browsers behind it. For tests, never for people.

It refuses what any of the real ones refuses (RFC 8030, 8188, 8291, 8292; the strictest of Mozilla's, Google's,
Apple's and Microsoft's where they differ), and as the browser it also decrypts, which a real push service cannot.
Decryption is by `http_ece`, the token is checked here with `cryptography`: no code of what it checks.

On request it misbehaves: gone, unknown, too many requests, faults, redirects, silence, a connection cut off.
"""
