"""What `make setup` does. Standard library only: it runs before anything is installed."""
