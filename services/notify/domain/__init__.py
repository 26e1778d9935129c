"""notify's rules: the life of a delivery, the endpoints that may be connected to, Web Push encryption. Pure."""
