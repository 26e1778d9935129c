"""How the services are put together and run; and stand-ins for what nobody here owns."""
