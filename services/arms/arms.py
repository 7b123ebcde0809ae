"""Which detectors serve now."""

from __future__ import annotations

from services.arms.serving import Serving


class Arms:
    """One thread offers, others take: what is taken is whole, and stays as it was for as long as somebody holds it."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    def current(self) -> Serving:
        return self._serving

    def offer(self, serving: Serving) -> None:
        """From the next batch on."""
        self._serving = serving
