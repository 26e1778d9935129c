"""HTTP of approval; the table of URLs is in `services/approval/__init__.py`.

- `page`: the phone's page
- `api`: what the page, or an app, asks (JSON, problem+json)
- `representations`: the JSON forms that the API answers with
"""
