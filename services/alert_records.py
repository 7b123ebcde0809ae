"""What is on the topic `alerts`: alerts as they stand, their closings by people, and how far everything was judged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from pydantic import TypeAdapter, ValidationError

from alerting.alert import Alert
from alerting.catalogue import CATALOGUE
from alerting.closing import Closing
from detectors.transcript import Frozen, Moment
from services.records import Outgoing, Record


class Judged(Frozen):
    """What was appended to `verdicts` before `judged_until` has been judged, and what followed has been published."""

    judged_until: Moment


_JUDGED_KEY: Final = b"judged"
_CONTENT: Final[TypeAdapter[Alert | Closing | Judged]] = TypeAdapter(Alert | Closing | Judged)


def content_of(record: Record) -> Alert | Closing | Judged | None:
    """None for what cannot be read, and for an alert that this version does not know."""
    try:
        content = _CONTENT.validate_json(record.value or b"")
    except ValidationError:
        return None
    return None if isinstance(content, Alert) and content.alert not in CATALOGUE else content


def alert_of(record: Record) -> Alert | None:
    """The alert in a record of the topic, if it is one."""
    content = content_of(record)
    return content if isinstance(content, Alert) else None


def closing_of(record: Record) -> Closing | None:
    """The closing in a record of the topic, if it is one."""
    content = content_of(record)
    return content if isinstance(content, Closing) else None


@dataclass(slots=True)
class Published:
    """The latest of each kind, by fingerprint."""

    alerts: dict[str, Alert] = field(default_factory=dict)
    closings: dict[str, Closing] = field(default_factory=dict)
    judged_until: datetime | None = None


def published(records: Iterable[Record]) -> Published:
    """What the topic says. Records of one key come in the order in which they were written."""
    found = Published()
    for record in records:
        match content_of(record):
            case Alert() as alert:
                found.alerts[alert.fingerprint] = alert
            case Closing() as closing:
                found.closings[closing.fingerprint] = closing
            case Judged() as judged:
                found.judged_until = judged.judged_until
            case None:
                pass
    return found


def alert_record(topic: str, alert: Alert) -> Outgoing:
    return Outgoing(topic, alert.fingerprint.encode(), alert.model_dump_json().encode())


def closing_record(topic: str, closing: Closing) -> Outgoing:
    """What whoever resolves a case writes; the correlator takes it up within seconds."""
    return Outgoing(topic, closing.fingerprint.encode(), closing.model_dump_json().encode())


def judged_record(topic: str, until: datetime) -> Outgoing:
    return Outgoing(topic, _JUDGED_KEY, Judged(judged_until=until).model_dump_json().encode())
