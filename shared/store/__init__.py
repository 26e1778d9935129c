"""Persistence: collections with an embedded outbox, the relay that empties it, sealed secrets.

motor is imported only here (ADR 0001), so that its successor is a change of one package.
"""
