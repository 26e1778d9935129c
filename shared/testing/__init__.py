"""What tests, demos and checks share. No service imports it, and the import contracts hold that."""
