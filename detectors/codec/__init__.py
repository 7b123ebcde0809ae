"""The border: bytes and foreign shapes in, normalised types out. Nothing behind it looks at raw JSON again."""

from detectors.codec.events import decode_event, encode_event, event_from
from detectors.codec.lines import event_from_line, read_events
from detectors.codec.verdicts import decode_verdict, encode_verdict

__all__ = [
    "decode_event",
    "decode_verdict",
    "encode_event",
    "encode_verdict",
    "event_from",
    "event_from_line",
    "read_events",
]
