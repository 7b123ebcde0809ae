"""The detectors that serve: whose word counts for which event, and how the next ones take their place."""
