"""Keys of services, sealed secrets, WebAuthn assertions and the enrolment chain."""
