"""Dead letters: records that cannot be read, kept whole with where they came from and why."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime

from services.errors import DeadLetterFlood
from services.records import Outgoing, Record

_PREFIX = "plumbline-"
MAX_REASON_CHARS = 2000


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that could not be read. Its own place (`topic`, `partition`, `offset`) identifies it.

    `value` is None where it was too large to be kept here; `size` is what it was, in bytes.
    """

    topic: str
    partition: int
    offset: int
    code: str
    reason: str
    died_at: datetime
    key: bytes | None
    value: bytes | None
    size: int

    @property
    def place(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset}"


def dead_letter(record: Record, code: str, reason: str, now: datetime) -> DeadLetter:
    """The dead letter of `record`."""
    value = record.value or b""
    place = (record.topic, record.partition, record.offset)
    return DeadLetter(*place, code, reason[:MAX_REASON_CHARS], now, record.key, value, len(value))


def dead_topic(topic: str) -> str:
    """Where the dead letters of `topic` go."""
    return f"{topic}.dead"


def to_record(letter: DeadLetter, max_bytes: int) -> Outgoing:
    """Key and value unchanged, and everything else in headers.

    A record over `max_bytes` (it came compressed, or the limit was lowered since) is described without its key and
    value: one that cannot be written would stop the line. The original stays in its topic.
    """
    fits = len(letter.key or b"") + len(letter.value or b"") <= max_bytes
    fields = {
        "topic": letter.topic,
        "partition": str(letter.partition),
        "offset": str(letter.offset),
        "code": letter.code,
        "reason": letter.reason,
        "died-at": letter.died_at.isoformat(),
        "size": str(letter.size),
    }
    if not fits or letter.value is None:
        fields["omitted"] = "too large"
    headers = tuple((f"{_PREFIX}{name}", value.encode()) for name, value in fields.items())
    key, value = (letter.key, letter.value or b"") if fits else (None, b"")
    return Outgoing(dead_topic(letter.topic), key, value, headers)


def from_record(record: Record) -> DeadLetter:
    """The dead letter that `to_record` wrote. A record that somebody else put there is its own dead letter."""
    headers = {name.removeprefix(_PREFIX): value for name, value in record.headers if name.startswith(_PREFIX)}
    try:
        letter = DeadLetter(
            topic=headers["topic"].decode(),
            partition=int(headers["partition"]),
            offset=int(headers["offset"]),
            code=headers["code"].decode(),
            reason=headers["reason"].decode(),
            died_at=datetime.fromisoformat(headers["died-at"].decode()),
            key=record.key,
            value=None if "omitted" in headers else record.value or b"",
            size=int(headers["size"]),
        )
    except (KeyError, ValueError):
        return _foreign(record)
    belongs = dead_topic(letter.topic) == record.topic  # else anybody could have a record sent anywhere by a replay
    return letter if belongs and _storable(letter) else _foreign(record)


def _foreign(record: Record) -> DeadLetter:
    return dead_letter(record, "foreign", "put among the dead letters by somebody else", record.timestamp)


def _storable(letter: DeadLetter) -> bool:
    """Whether every database takes it: one that none takes would stop the recorder for ever."""
    texts = letter.topic + letter.code + letter.reason
    numbers = 0 <= letter.partition < 2**31 and 0 <= letter.offset < 2**63 and 0 <= letter.size < 2**31
    short = len(letter.topic) <= 255 and len(letter.code) <= 64 and len(letter.reason) <= MAX_REASON_CHARS
    return (
        numbers
        and short
        and "\0" not in texts
        and letter.died_at.tzinfo is not None
        and 2000 <= letter.died_at.year <= 2200
    )


class FloodGate:
    """Stops the service when too large a share of the latest records are dead letters."""

    def __init__(self, *, limit: float, window: int) -> None:
        self._limit = limit
        self._latest: deque[bool] = deque(maxlen=window)
        self._enough = max(10, window // 50)

    @property
    def share(self) -> float:
        """Of dead letters among the latest records; 0 before a fiftieth of the window was seen, and at least 10."""
        return sum(self._latest) / len(self._latest) if len(self._latest) >= self._enough else 0.0

    def admit(self, dead: int, total: int) -> None:
        """Counts a batch. Raises `DeadLetterFlood` where the share is above the limit now."""
        self._latest.extend([True] * dead + [False] * (total - dead))
        if self.share > self._limit:
            raise DeadLetterFlood(
                f"{self.share:.0%} of the last {len(self._latest)} records cannot be read, the limit is "
                f"{self._limit:.0%}: is this the right topic? `plumbline dead-letters list` shows those before this "
                "batch; nothing of it was committed"
            )
