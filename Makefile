# Everything a developer runs. `make` alone lists the targets; docs/setup.md explains them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
# Some machines forbid it for containers' sake; here it would compile every module again in each of a hundred processes.
unexport PYTHONDONTWRITEBYTECODE

PY := .venv/bin/python
BUS ?=
ARGS ?=
# Python answers a Ctrl-C in its first moments with a traceback: it gets it when our first statement is done.
CTRL_C_LATER = $(shell env --block-signal=INT true 2>/dev/null && echo env --block-signal=INT)
ON = $(if $(BUS),--bus $(BUS)) $(ARGS)

.PHONY: help setup setup-run run status demo dev test test-fast test-long test-compose lint bench pictures lock clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: ## Install everything (root on Debian also gets the programs that tests use); again is quick
	@deploy/setup/setup full

setup-run: # Only what run, demo and test-fast need: Python packages and mongod
	@deploy/setup/setup run

run: setup-run ## The whole system in one process, with its own MongoDB; Ctrl-C stops it
	@exec $(CTRL_C_LATER) $(PY) -m deploy run $(ON)

status: setup-run ## What runs, and what to do there
	@exec $(PY) -m deploy status $(ARGS)

demo: setup-run ## People made in Entra and one sign-in, which a push brings to the phone, headless, into var/demo (BUS=rabbit: over RabbitMQ)
	@exec $(PY) -m deploy.local.demo $(ON)

dev: setup-run ## As run, and starts again when a file changes
	@exec $(PY) -m watchfiles --filter python --ignore-paths .venv,var "$(PY) -m deploy run $(ON)" services shared deploy

test: setup ## Every test but those that take minutes, with real MongoDB, RabbitMQ, Chromium and checkers
	@$(PY) -m pytest -n 3 --dist loadgroup -m "not slow and not soak" $(ARGS)

test-long: setup ## The tests that take minutes: many pages in Chromium, 100,000 accounts, 10,000 messages, the bench
	@failed=0; \
	$(PY) -m pytest -n 3 --dist loadgroup -m slow $(ARGS) || failed=1; \
	$(PY) -m pytest -s -m soak $(ARGS) || failed=1; \
	exit $$failed

test-fast: setup-run ## The tests that need no sockets and no other programs
	@$(PY) -m pytest -n 2 -m "not integration and not long and not slow and not soak" $(ARGS)

test-compose: setup ## The containers of docker-compose.yml: build, start, sign in to them, remove
	@deploy/setup/test-compose

lint: setup-run ## ruff, mypy, import contracts, generated documents
	@failed=0; \
	.venv/bin/ruff check . || failed=1; \
	.venv/bin/ruff format --check . || failed=1; \
	.venv/bin/mypy services shared deploy tests || failed=1; \
	.venv/bin/lint-imports || failed=1; \
	$(PY) -m deploy.docs --check || failed=1; \
	$(PY) -m deploy.caddy --check || failed=1; \
	exit $$failed

bench: setup ## Sign-ins and tokens a second, beside other programs
	@$(PY) -m deploy.bench $(ARGS)

pictures: setup ## Every page in every state into var/pictures/, and what docs/ shows of them anew where it is stale
	@$(PY) -m tests.pictures

lock: ## Make requirements/*.txt again from requirements/*.in
	@deploy/setup/lock

clean: ## Remove what was made here: .venv, var, caches
	@rm -rf .venv var shared/web/assets .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
