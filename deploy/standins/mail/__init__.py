"""A small mail server that keeps what it gets and refuses what it is told to (RFC 5321). For tests, never for people.

STARTTLS and AUTH PLAIN when it is given a certificate; without one it offers neither.
"""
