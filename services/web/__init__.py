"""The triage service: its API, and the page that people use."""
