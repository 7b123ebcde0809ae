"""Nearly the same prompt, answered safely in most conversations and unsafely in some."""

from __future__ import annotations

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


@dataclass(slots=True)
class _Group:
    signature: str
    unsafe: dict[str, bool] = field(default_factory=dict)
    seen: dict[str, datetime] = field(default_factory=dict)
    cases: dict[str, Case] = field(default_factory=dict)

    def forget(self, before: datetime) -> None:
        for conversation in [name for name, at in self.seen.items() if at < before]:
            del self.seen[conversation], self.unsafe[conversation]
            self.cases.pop(conversation, None)


Key = tuple[str, str, str]


class InconsistentAnswers:
    """A `Rule`. A group of near-duplicate prompts is found out where at least `fewest_unsafe` and no more than half of
    its conversations were flagged, and more of them than the flagged share of all traffic explains (a binomial tail,
    corrected for the number of groups).

    Of a group the latest `conversations` count, each once.
    """

    def __init__(
        self,
        *,
        most: int = 5_000,
        fewest: int = 8,
        fewest_unsafe: int = 2,
        level: float = 1e-3,
        window: timedelta = timedelta(hours=24),
        conversations: int = 200,
    ) -> None:
        self._fewest = fewest
        self._fewest_unsafe = fewest_unsafe
        self._level = level
        self._window = window
        self._most_conversations = conversations
        self._groups: Tracked[Key, _Group] = Tracked(most, lambda _: _Group(""))
        self._bands: Tracked[tuple[str, str, int, str], list[Key]] = Tracked(_BANDS * most, lambda _: [])
        self._events = self._flagged = 0.0

    def observe(self, verdict: Verdict, at: datetime) -> None:
        """See `alerting.finding.Rule`."""
        if verdict.status is Status.UNSCORED:
            return
        unsafe = bool(verdict.flagged)
        self._events, self._flagged = self._events * 0.99999 + 1, self._flagged * 0.99999 + unsafe
        if verdict.observed is None or verdict.observed.prompt is None:
            return
        agent = verdict.observed.agent.name or ""
        group = self._group(verdict.tenant_id, agent, verdict.observed.prompt)
        conversation = verdict.conversation_id
        group.unsafe[conversation] = group.unsafe.get(conversation, False) or unsafe
        group.seen[conversation] = max(at, group.seen.get(conversation, at))
        if unsafe and (conversation in group.cases or len(group.cases) < _CASES):
            group.cases[conversation] = Case.of(verdict)
        if len(group.seen) > self._most_conversations:
            group.forget(sorted(group.seen.values())[1])

    def _group(self, tenant: str, agent: str, signature: str) -> _Group:
        bands = [(tenant, agent, n, signature[n * _HEX : (n + 1) * _HEX]) for n in range(_BANDS)]
        for band in bands:
            known = self._bands.get(band)
            for key in known or ():
                found = self._groups.get(key)
                if found is not None and resemblance(found.signature, signature) >= _ALIKE:
                    return self._groups.touch(key)
        key = (tenant, agent, signature[:12])
        group = self._groups.touch(key)
        group.signature = group.signature or signature
        for band in bands:
            keys = self._bands.touch(band)
            keys[:] = [*(each for each in keys if self._groups.get(each) is not None), key][-4:]
        return group

    def findings(self, now: datetime) -> Iterable[Finding]:
        """See `alerting.finding.Rule`."""
        usual = max(0.005, self._flagged / self._events) if self._events else 1.0
        for (tenant, agent, prompt), group in self._groups.items():
            if not group.cases:
                continue
            group.forget(now - self._window)
            unsafe, every = sum(group.unsafe.values()), len(group.unsafe)
            if not unsafe:
                continue
            chance = tail(unsafe, every, usual) * len(self._groups)
            enough = every >= self._fewest and self._fewest_unsafe <= unsafe <= every / 2
            met = enough and chance <= self._level
            yield Finding(
                "InconsistentAnswers",
                {"tenant": tenant, "agent": agent, "prompt": prompt},
                Condition.MET if met else Condition.CLEAR,
                value=unsafe / every,
                limit=usual,
                since=min(group.seen.values()),
                until=now,
                detail=f"{unsafe} of {every} conversations with nearly the same prompt were flagged",
                cases=tuple(group.cases.values()) if met else (),
            )

    def tracked(self) -> Mapping[str, int]:
        return {"prompt": len(self._groups)}

    def evicted(self) -> Mapping[str, int]:
        return {"prompt": self._groups.evicted}
