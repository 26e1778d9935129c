"""One package a service, split by trust. They never import each other: messages go over the bus."""
