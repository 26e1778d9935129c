"""docker-compose.yml put to the test: `deploy/setup/test-compose` brings it up, `check` signs in, and it goes again."""
