"""Rules for Prometheus, their tests, and real servers to try them with."""
