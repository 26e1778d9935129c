"""What provisioning decides, without I/O, clock and chance."""
