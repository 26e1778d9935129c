"""Strict stand-ins, programs of their own, for what nobody here owns: Entra ID and phones."""
