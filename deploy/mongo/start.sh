#!/usr/bin/env bash
# As user mongodb. mongod insists on a key file that only its own user can read, so it gets a copy; the first start
# makes the root user.
set -euo pipefail
install -m 400 /run/blok365/replica.key /tmp/replica.key
MONGO_INITDB_ROOT_USERNAME=root MONGO_INITDB_ROOT_PASSWORD=$(</run/blok365/root)
export MONGO_INITDB_ROOT_USERNAME MONGO_INITDB_ROOT_PASSWORD
exec docker-entrypoint.sh mongod --replSet rs0 --keyFile /tmp/replica.key --quiet
