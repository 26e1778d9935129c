"""What every service stands on: contracts, bus, store, web frame, clock, ids. Never imports a service."""
