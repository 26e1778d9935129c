"""Everything a service's web side has in common, so that no service decides it again.

A service calls `server.make_app(...)` and adds its own routes; from then on

* `middleware` gives each request an id and a nonce, holds the limits, logs one line, and turns whatever is
  raised into an answer: `problems` is the one mapping from `shared.errors` to a page or problem+json;
* `headers` puts the security headers on every response, streams and refusals included;
* `frame` renders templates inside one page frame; `static` serves style and scripts under hashed names;
* `inputs` reads parameters, forms and JSON strictly; `cookies` makes `__Host-` cookies and CSRF tokens;
* `sse` holds a page's live stream; `paths` is the table of hosts and paths; `server` listens.
"""
