"""notify's rules: the life of a delivery, which endpoints may be spoken to, Web Push encryption. Pure."""
