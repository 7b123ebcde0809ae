"""Nearly the same prompt, answered safely in most conversations and unsafely in some."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from alerting.burn_rate import tail
from alerting.finding import Case, Condition, Finding
from alerting.tracking import Tracked
from detectors.observation import SIGNATURE_HASHES, resemblance
from detectors.verdict import Status, Verdict

_BANDS: Final = 16
_ROWS: Final = SIGNATURE_HASHES // _BANDS
_HEX: Final = 8 * _ROWS
"""Digits of a band. Prompts of similarity s share a band with probability 1 - (1 - s**4)**16: .64 at one half, .99 at
.7, .12 at .3 (Leskovec, Rajaraman, Ullman: Mining of Massive Datasets, chapter 3)."""
_ALIKE: Final = 0.65
_CASES: Final = 3
_A_BAND: Final = 4
"""Groups that are looked for by one band."""


@dataclass(slots=True)
class _Answers:
    """What one conversation got: until when, in how many events, and whether one of them was flagged."""

    latest: float
    events: int = 0
    unsafe: bool = False


@dataclass(slots=True)
class _Group:
    """Conversations with nearly the same prompt, by a hash of their ids, and cases of the latest unsafe ones."""

    signature: str
    answers: dict[int, _Answers] = field(default_factory=dict)
    cases: dict[int, Case] = field(default_factory=dict)

    def forget(self, before: float) -> None:
        for key in [key for key, answers in self.answers.items() if answers.latest < before]:
            self.drop(key)

    def drop(self, key: int) -> None:
        del self.answers[key]
        self.cases.pop(key, None)

    def expected(self, share: float) -> float:
        """The share of unsafe conversations, where `share` of all events are flagged, whichever they are."""
        return sum(1 - (1 - share) ** each.events for each in self.answers.values()) / len(self.answers)


Key = tuple[str, str, str]


class InconsistentAnswers:
    """A `Rule`. A group of near-duplicate prompts is found out where at least `fewest_unsafe` and no more than half of
    its conversations were flagged, and more of them than the flagged share of all traffic explains in conversations of
    their lengths (a binomial tail, corrected for the number of groups that are large enough).

    Of a group the latest `conversations` count, each once. What has no prompt, such as an answer that is sent apart,
    belongs to the last prompt of its conversation.
    """

    def __init__(
        self,
        *,
        most: int = 2_000,
        fewest: int = 8,
        fewest_unsafe: int = 2,
        level: float = 1e-3,
        window: timedelta = timedelta(hours=24),
        conversations: int = 150,
    ) -> None:
        self._fewest = fewest
        self._fewest_unsafe = fewest_unsafe
        self._level = level
        self._window = window
        self._most_conversations = conversations
        self._groups: Tracked[Key, _Group] = Tracked(most, lambda _: _Group(""), spared=lambda group: bool(group.cases))
        self._bands: Tracked[tuple[str, str, int, str], list[Key]] = Tracked(_BANDS * most, lambda _: [])
        self._asked: Tracked[tuple[str, str], list[Key]] = Tracked(4 * most, lambda _: [])
        self._events = self._flagged = 0.0

    def observe(self, verdict: Verdict, at: datetime) -> None:
        """See `alerting.finding.Rule`."""
        if verdict.status is Status.UNSCORED:
            return
        unsafe = bool(verdict.flagged)
        self._events, self._flagged = self._events * 0.99999 + 1, self._flagged * 0.99999 + unsafe
        group = self._group_of(verdict)
        if group is None:
            return
        key = hash(verdict.conversation_id)
        answers = group.answers.setdefault(key, _Answers(at.timestamp()))
        answers.latest, answers.events = max(at.timestamp(), answers.latest), answers.events + 1
        answers.unsafe = answers.unsafe or unsafe
        if unsafe:
            group.cases.pop(key, None)
            group.cases[key] = Case.of(verdict)  # the latest ones: what people have closed is opened by news
            if len(group.cases) > _CASES:
                del group.cases[next(iter(group.cases))]
        if len(group.answers) > self._most_conversations:
            group.drop(min(group.answers, key=lambda each: group.answers[each].latest))

    def _group_of(self, verdict: Verdict) -> _Group | None:
        if verdict.observed is None:
            return None
        conversation = (verdict.tenant_id, verdict.conversation_id)
        if verdict.observed.prompt is None:
            known = self._asked.get(conversation)
            return self._groups.get(known[0]) if known else None
        agent = verdict.observed.agent.name or ""
        key = self._key(verdict.tenant_id, agent, verdict.observed.prompt)
        self._asked.touch(conversation)[:] = [key]
        return self._groups.touch(key)

    def _key(self, tenant: str, agent: str, signature: str) -> Key:
        """That of the group that `signature` belongs to; there is one from now on."""
        found = self._near(tenant, agent, signature)
        key = found or (tenant, agent, hashlib.sha256(signature.encode()).hexdigest()[:12])
        group = self._groups.touch(key)
        group.signature = group.signature or signature
        for band in _bands(tenant, agent, group.signature):
            keys = self._bands.touch(band)  # or a group in use would lose its bands to new ones
            if key not in keys:
                keys[:] = [*(each for each in keys if self._groups.get(each) is not None), key][-_A_BAND:]
        return key

    def _near(self, tenant: str, agent: str, signature: str) -> Key | None:
        for band in _bands(tenant, agent, signature):
            for key in self._bands.get(band) or ():
                found = self._groups.get(key)
                if found is not None and resemblance(found.signature, signature) >= _ALIKE:
                    return key
        return None

    def findings(self, now: datetime) -> Iterable[Finding]:
        """See `alerting.finding.Rule`."""
        share = max(0.005, self._flagged / self._events) if self._events else 1.0
        since = now - self._window
        for group in self._groups.values():
            group.forget(since.timestamp())
        looked_at = sum(len(group.answers) >= self._fewest for group in self._groups.values())
        for (tenant, agent, prompt), group in self._groups.items():
            unsafe, every = sum(each.unsafe for each in group.answers.values()), len(group.answers)
            if not unsafe:
                continue
            usual = group.expected(share)
            chance = tail(unsafe, every, usual) * looked_at
            enough = every >= self._fewest and self._fewest_unsafe <= unsafe <= every / 2
            met = enough and chance <= self._level
            yield Finding(
                "InconsistentAnswers",
                {"tenant": tenant, "agent": agent, "prompt": prompt},
                Condition.MET if met else Condition.CLEAR,
                value=unsafe / every,
                limit=usual,
                since=since,
                until=now,
                detail=f"{unsafe} of {every} conversations with nearly the same prompt were flagged",
                cases=tuple(group.cases.values()) if met else (),
            )

    def tracked(self) -> Mapping[str, int]:
        return {"prompt": len(self._groups)}

    def evicted(self) -> Mapping[str, int]:
        return {"prompt": self._groups.evicted}


def _bands(tenant: str, agent: str, signature: str) -> list[tuple[str, str, int, str]]:
    return [(tenant, agent, n, signature[n * _HEX : (n + 1) * _HEX]) for n in range(_BANDS)]
