"""What every Blok365 service stands on: contracts, bus, store, web frame, clock and ids. Never imports a service."""
