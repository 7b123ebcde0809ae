"""Synthetic transcripts through the real topic: does Plumbline still see, and how fast."""
