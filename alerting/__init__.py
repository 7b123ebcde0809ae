"""Rules, windows, deduplication and drift: from verdicts to alerts. Empty until the first rule."""
