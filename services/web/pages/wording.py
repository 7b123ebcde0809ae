"""What numbers, ids and events are called on the page."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from detectors.taxonomy import MEANINGS, MISALIGNMENT, Category
from services.store.cases import CaseEvent

_UNITS: Final = (("d", 86_400), ("h", 3_600), ("min", 60))
_MASKS: Final = {"email": "e-mail", "phone": "phone number", "card": "card number", "iban": "IBAN", "secret": "secret"}
_ROLES: Final = {
    "system": "System",
    "developer": "Developer",
    "user": "User",
    "assistant": "Agent",
    "model": "Agent",
    "agent": "Agent",
    "ai": "Agent",
    "tool": "Tool",
    "function": "Tool",
}
_STATES: Final = {
    "open": "new",
    "acknowledged": "being looked at",
    "confirmed": "confirmed",
    "dismissed": "dismissed",
    "unsure": "unsure",
    "resolved": "resolved",
    "regressed": "back after its end",
    "merged": "merged",
}
_HAPPENED: Final = {
    "opened": "opened the case",
    "conversation_added": "added a conversation",
    "flagged_again": "saw it flagged again",
    "acknowledged": "looks at it",
    "snoozed": "let it sleep",
    "severity_set": "set the severity",
    "commented": "commented",
    "linked": "added a link",
    "resolved": "said that it is over",
    "reopened": "took it up again",
    "undone": "took a decision back",
    "merged": "merged cases",
    "split": "split the case",
    "second_look": "took a second look",
    "alert": "told of an alert",
}


def age(span: timedelta) -> str:
    """`2 d`, `3 h`, `5 min`, `now`: the largest unit alone."""
    seconds = int(span.total_seconds())
    return next((f"{seconds // size} {unit}" for unit, size in _UNITS if seconds >= size), "now")


def until(moment: datetime, now: datetime) -> str:
    """`in 3 h`, `2 h ago`, `just now`."""
    if moment >= now:
        ahead = age(moment - now)
        return "just now" if ahead == "now" else f"in {ahead}"
    behind = age(now - moment)
    return "just now" if behind == "now" else f"{behind} ago"


def absolute(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def category(label: str) -> str:
    """A category's id in words."""
    return "Misaligned overall" if label == MISALIGNMENT else label.replace("_", " ").capitalize()


def meaning(label: str) -> str:
    """What a category is about; empty for those of other versions."""
    if label == MISALIGNMENT:
        return "any of the kinds below"
    return MEANINGS[Category(label)] if label in set(Category) else ""


def state(name: str) -> str:
    return _STATES.get(name, name)


def role(name: str) -> str:
    """Who speaks; what agents made up themselves stays as it is."""
    return _ROLES.get(name.lower(), name)


def mask(kind: str) -> str:
    """`e-mail masked`."""
    return f"{_MASKS.get(kind, kind.replace('_', ' '))} masked"


def seconds(span: float) -> str:
    return f"{span:.0f} s" if span < 120 else age(timedelta(seconds=span))


def happened(event: CaseEvent) -> str:
    """What somebody did, behind their name."""
    data = event.data
    match event.kind:
        case "assigned":
            return _assigned(data.get("owner"), event.actor)
        case "decided":
            return f"decided: {state(str(data.get('disposition')))}{_as_category(data)}"
        case "severity_set":
            return f"set the severity to {data.get('severity')}"
        case "alert":
            return f"told of the alert {data.get('alert')}: {data.get('status')}"
        case "snoozed":
            return "let it sleep" if data.get("until") else "woke it up"
    return _HAPPENED.get(event.kind, event.kind.replace("_", " "))


def _as_category(data: dict[str, Any]) -> str:
    return f", as {category(str(data['category'])).lower()}" if data.get("category") else ""


def _assigned(owner: str | None, by: str) -> str:
    if owner == by:
        return "took it"
    return f"gave it to {owner}" if owner else "took its owner away"
