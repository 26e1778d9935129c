"""The bus: one port, two implementations (memory, RabbitMQ), one conformance suite for both."""
