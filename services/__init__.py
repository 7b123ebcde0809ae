"""Every process and every edge: settings, Kafka, database, HTTP, command line."""
