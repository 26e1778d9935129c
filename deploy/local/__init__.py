"""The whole system on one machine, and the real parts it needs."""
