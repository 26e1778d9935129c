"""HTTP of approval; the table of URLs is in `services/approval/__init__.py`.

- `api`: what the phone's page (`shared/web/phone/`), or an app, asks (JSON, problem+json)
- `representations`: the JSON forms that the API answers with
"""
