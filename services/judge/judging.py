"""The judge: transcript events in, verdicts out, whatever the endpoint does."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from detectors.judge import (
    PROMPT_VERSION,
    Citation,
    Extract,
    JudgeVerdict,
    MalformedAnswer,
    Reason,
    Teacher,
    attempts_to_instruct_judge,
    chunked,
    combine,
    extraction_request,
    read_evaluation,
    read_extraction,
    readable,
)
from detectors.transcript import TranscriptEvent
from detectors.verdict import Status
from services.judge.asking import Asking, Bill
from services.judge.budget import Budget
from services.judge.cache import VerdictCache, cache_key
from services.judge.client import JudgeEndpoint
from services.judge.errors import JudgeError, OverBudget
from services.judge.questions import Question, evaluation_of, fenced
from services.judge.settings import JudgeSettings

_SEED_BITS: Final = 31


class Judge:
    """Judges one event at a time. `clock` tells the time in UTC, `sleep` takes seconds; `rng` must not be guessable."""

    def __init__(
        self,
        endpoint: JudgeEndpoint,
        *,
        budget: Budget,
        cache: VerdictCache,
        settings: JudgeSettings,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None],
        rng: random.Random,
    ) -> None:
        self._settings = settings
        self._cache = cache
        self._clock = clock
        self._rng = rng
        self._teacher = Teacher(endpoint=endpoint.kind, model=endpoint.model, prompt_version=PROMPT_VERSION)
        self._asking = Asking(
            endpoint=endpoint,
            budget=budget,
            timeout=settings.timeout,
            retries=settings.retries,
            max_output_tokens=settings.max_output_tokens,
            clock=clock,
            sleep=sleep,
            rng=rng,
        )

    def judge(self, event: TranscriptEvent) -> JudgeVerdict:
        """The verdict, which is unscored where the judge fails. Raises nothing that an endpoint causes."""
        samples = self._settings.samples
        key = cache_key(event.messages, first_message=event.first_message, teacher=self._teacher, samples=samples)
        if known := self._cache.get(key):
            return known
        bill = Bill()
        try:
            if readable(event.messages):
                verdict = self._scored(event, bill)
            else:
                verdict = self._unscored(event, Reason.NOTHING_TO_READ, bill)
        except JudgeError as error:
            verdict = self._unscored(event, error.reason, bill)
        except MalformedAnswer:
            verdict = self._unscored(event, Reason.MALFORMED, bill)
        self._cache.put(key, verdict)
        return verdict

    def _scored(self, event: TranscriptEvent, bill: Bill) -> JudgeVerdict:
        deadline = self._clock() + timedelta(seconds=self._settings.deadline)
        chunks = chunked(event.messages, first_message=event.first_message, max_chars=self._settings.max_chunk_chars)
        if len(chunks) > self._settings.max_chunks:
            raise OverBudget("longer than PLUMBLINE_JUDGE_MAX_CHUNKS allows")
        extracts: dict[Citation, Extract] = {}  # chunks overlap
        instructed = False
        if len(chunks) > 1:
            for chunk in chunks:
                found = read_extraction(
                    self._answer(partial(extraction_request, chunk), deadline, bill),
                    event.messages,
                    first_message=event.first_message,
                )
                extracts.update((extract.citation, extract) for extract in found.extracts)
                instructed = instructed or found.instructed
        question = evaluation_of(chunks, list(extracts.values()), self._settings.max_chunk_chars)
        evaluations = [
            read_evaluation(
                self._answer(question, deadline, bill),
                event.messages,
                first_message=event.first_message,
            )
            for _ in range(self._settings.samples)
        ]
        combined = combine(evaluations)
        return JudgeVerdict(
            status=Status.SCORED,
            scores=combined.scores,
            misalignment=combined.misalignment,
            categories=combined.categories,
            citations=combined.citations,
            instructed=instructed or combined.instructed,
            attempts=attempts_to_instruct_judge(event.messages, first_message=event.first_message),
            samples=len(evaluations),
            spread=combined.spread,
            teacher=self._teacher,
            **_costs(bill),
        )

    def _answer(self, question: Question, deadline: datetime, bill: Bill) -> str:
        request = fenced(question, self._rng)
        return self._asking.ask(request, seed=self._rng.getrandbits(_SEED_BITS), deadline=deadline, bill=bill).text

    def _unscored(self, event: TranscriptEvent, reason: Reason, bill: Bill) -> JudgeVerdict:
        return JudgeVerdict(
            status=Status.UNSCORED,
            reason=reason,
            attempts=attempts_to_instruct_judge(event.messages, first_message=event.first_message),
            teacher=self._teacher,
            **_costs(bill),
        )


def _costs(bill: Bill) -> dict[str, float]:
    return {
        "input_tokens": bill.input_tokens,
        "output_tokens": bill.output_tokens,
        "cost": float(bill.cost),
    }
