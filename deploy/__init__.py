"""What Plumbline runs on: brokers and databases for tests, files for Kafka."""
