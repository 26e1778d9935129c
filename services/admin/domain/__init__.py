"""What admin's tenants, accounts, invitations and devices are, and what may become of them. Pure: no I/O, no clock."""
