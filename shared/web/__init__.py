"""Everything a service's web side has in common, so that no service decides it again.

A service calls `server.make_app(...)` and adds its own routes; from then on

* `middleware` gives each request an id and a nonce, holds the limits, logs one line, and turns whatever is
  raised into an answer: `problems` is the one mapping from `shared.errors` to a page or problem+json;
* `headers` puts the security headers on every response, streams and refusals included;
* `frame` renders templates inside one page frame; `static` names style and scripts by hashes of their content;
* `inputs` reads parameters, forms and JSON strictly; `cookies` makes `__Host-` cookies and CSRF tokens;
* `sse` holds a page's live stream; `server` listens.

Before the services stands a proxy: Caddy, the cluster's router, or the same in one process (`server.combine`).

* `paths` says who answers which path of which host; `proxy` what goes through of a service's answer;
* `site` answers what belongs to no service, from the built static tree; `static_pages` lists the pages in it, whose
  sources are in `phone/` and `front/`.
"""
