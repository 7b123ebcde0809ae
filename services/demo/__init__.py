"""The demonstration: the real services on this machine, over the transcripts that ship."""
