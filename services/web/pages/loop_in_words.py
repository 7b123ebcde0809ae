"""What stages, steps and numbers of the loop are called on its page."""

from __future__ import annotations

from typing import Final

from services.web.loop.models import RunOut

_STAGES: Final = {
    "assembling": "makes a dataset of the labels",
    "training": "trains a candidate",
    "gating": "holds the candidate against the version that serves",
    "publishing": "waits to send the candidate on its way",
}
_OUTCOMES: Final = {
    "published": "its candidate is on its way",
    "refused": "refused",
    "nothing_new": "nothing new to learn",
    "failed": "failed",
    "superseded": "another one took its place",
}
_TRIGGERS: Final = {
    "labels": "enough new labels",
    "drift": "drift",
    "false_positives": "too many false positives",
    "schedule": "the schedule",
    "manual": "somebody asked",
}
_STEPS: Final = {
    "started": "sent it on its way",
    "advanced": "let it go on",
    "promoted": "promoted it",
    "rolled_back": "rolled it back",
    "paused": "paused it",
    "resumed": "let it go on after a pause",
}
_ROLLOUT: Final = {
    "steady": "One version serves everybody.",
    "shadow": "The candidate judges everything beside the stable version, and nothing comes of it.",
    "canary": "The candidate judges its share of conversations for good.",
}
_WATCHED: Final = {
    "flags_more": "Flags too much",
    "flags_less": "Flags too little",
    "incomplete": "Fails to judge",
    "slower": "Slower",
    "disagrees": "Disagrees",
    "misses": "Misses what people confirmed",
    "less_precise": "Flags what people dismiss",
}
_ARMS: Final = {"stable": "Stable", "shadow": "Candidate, in the shadow", "canary": "Candidate, as the canary"}


def _known(words: dict[str, str], name: str) -> str:
    return words.get(name, name.replace("_", " "))


def run(of: RunOut) -> str:
    """What it does, or how it ended."""
    return _known(_OUTCOMES, of.outcome) if of.outcome else _known(_STAGES, of.stage)


def trigger(name: str) -> str:
    return _known(_TRIGGERS, name)


def step(name: str) -> str:
    return _known(_STEPS, name)


def stage(name: str) -> str:
    """What a stage of the rollout means."""
    return _known(_ROLLOUT, name)


def watched(name: str) -> str:
    return _known(_WATCHED, name).capitalize()


def arm(name: str) -> str:
    return _known(_ARMS, name)


def metric(name: str) -> str:
    """`false positive rate`."""
    return {"auroc": "AUROC", "category_auroc": "AUROC of the category"}.get(name, name.replace("_", " "))


def number(value: float | None) -> str:
    """Three figures; `–` of nothing."""
    return "–" if value is None else f"{value:.3g}"


def share(value: float) -> str:
    """`1.2 %`, with two figures: shares of flags are small."""
    return f"{100 * value:.2g}\u00a0%" if value < 0.995 else f"{100 * value:.4g}\u00a0%"


def p_value(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.0001" if value < 0.0001 else f"{value:.2g}"


def milliseconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds * 1000:.3g} ms"


def sentence(text: str) -> str:
    """With a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
