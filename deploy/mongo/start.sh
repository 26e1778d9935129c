#!/usr/bin/env bash
# mongod insists on a key file that only its own user can read; a mounted secret has the host's owner and mode.
set -euo pipefail
install -m 400 -o mongodb /run/secrets/mongo_key /etc/mongo.key
exec docker-entrypoint.sh mongod --replSet rs0 --keyFile /etc/mongo.key
