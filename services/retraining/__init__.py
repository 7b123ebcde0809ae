"""Retraining by itself: from labels in the database to a candidate on its way. Stages, each resumable."""
