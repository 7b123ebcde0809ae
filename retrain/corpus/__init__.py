"""Plumbline's own contrastive pairs: transcripts written twice, with and without the misbehaviour."""

from retrain.corpus.pairs import PARTS, Pair, conversations, read_pairs

__all__ = ["PARTS", "Pair", "conversations", "read_pairs"]
