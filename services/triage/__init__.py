"""Triage: flagged conversations become cases, and people's decisions labels."""
