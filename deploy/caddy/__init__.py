"""The front door: `Caddyfile`, made from the table of hosts and paths (`python -m deploy.caddy`).

Caddy ends TLS, tells services apart by host and path, spreads requests over replicas and passes over one that does
not answer. What it does not do: anything that a service must be able to rely on, except X-Forwarded-For.
"""
