"""The judge's cache: what was scored is not paid for twice, and what failed is tried again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from detectors.judge import PROMPT_VERSION, JudgeVerdict, Reason, Teacher
from detectors.transcript import TranscriptEvent
from detectors.verdict import Status
from services.errors import ServicesError
from services.judge.cache import VerdictCache, cache_key

TEACHER = Teacher(endpoint="openai", model="m", prompt_version=PROMPT_VERSION)


def verdict(misalignment: float = 0.5) -> JudgeVerdict:
    return JudgeVerdict(
        status=Status.SCORED,
        scores={"coercion": 1.0},
        misalignment=misalignment,
        samples=1,
        spread=0.0,
        teacher=TEACHER,
        input_tokens=10,
        output_tokens=20,
        cost=0.25,
    )


def key_of(event: TranscriptEvent, *, teacher: Teacher = TEACHER, samples: int = 1) -> str:
    return cache_key(event.messages, first_message=event.first_message, teacher=teacher, samples=samples)


def test_the_key_is_of_content_prompts_model_and_number_of_answers(
    make_event: Callable[..., TranscriptEvent],
) -> None:
    event = make_event("a", "b")
    assert key_of(event) == key_of(make_event("a", "b", event_id="other", conversation_id="other"))
    others = [
        key_of(make_event("a", "c")),
        key_of(make_event("ab")),
        key_of(make_event("a", "b", first_message=2)),
        key_of(event, samples=3),
        *(
            key_of(event, teacher=TEACHER.model_copy(update={field: "x"}))
            for field in ("endpoint", "model", "prompt_version")
        ),
    ]
    assert len({key_of(event), *others}) == 1 + len(others)


@pytest.mark.parametrize("in_file", [False, True])
def test_a_hit_is_marked_and_costs_nothing(tmp_path: Path, in_file: bool) -> None:
    with VerdictCache(10, tmp_path / "cache.db" if in_file else None) as cache:
        assert cache.get("k") is None
        cache.put("k", verdict())
        hit = cache.get("k")
    assert hit == verdict().model_copy(update={"cached": True, "input_tokens": 0, "output_tokens": 0, "cost": 0.0})


def test_only_scored_verdicts_are_kept(tmp_path: Path) -> None:
    with VerdictCache(10, tmp_path / "cache.db") as cache:
        cache.put("k", JudgeVerdict(status=Status.UNSCORED, reason=Reason.TIMEOUT, teacher=TEACHER))
        assert cache.get("k") is None


def test_what_was_not_used_for_longest_is_forgotten() -> None:
    with VerdictCache(2) as cache:
        cache.put("a", verdict(0.1))
        cache.put("b", verdict(0.2))
        cache.get("a")
        cache.put("c", verdict(0.3))
        assert cache.get("b") is None
        assert cache.get("a") is not None
        assert cache.get("c") is not None


def test_the_file_outlives_the_process_and_is_bounded_too(tmp_path: Path) -> None:
    file = tmp_path / "cache.db"
    with VerdictCache(2, file) as cache:
        cache.put("a", verdict(0.1))
        cache.put("b", verdict(0.2))
    with VerdictCache(2, file) as cache:
        assert cache.get("a") is not None
        cache.put("c", verdict(0.3))
    with VerdictCache(2, file) as cache:
        assert cache.get("b") is None
        kept = cache.get("a")
        assert kept is not None
        assert kept.misalignment == 0.1
        assert cache.get("c") is not None


def test_a_row_that_cannot_be_read_is_a_miss(tmp_path: Path) -> None:
    file = tmp_path / "cache.db"
    with VerdictCache(2, file) as cache:
        cache.put("a", verdict())
        assert cache._database is not None
        cache._database.execute("UPDATE verdicts SET verdict = 'scored, trust me'")
    with VerdictCache(2, file) as cache:
        assert cache.get("a") is None
        cache.put("a", verdict())
        assert cache.get("a") is not None


def test_a_file_that_is_no_cache_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    file.write_text("Dear Sir or Madam, " * 100)
    with pytest.raises(ServicesError, match=r"PLUMBLINE_JUDGE_CACHE_FILE: .*letter\.txt"):
        VerdictCache(2, file)
    with pytest.raises(ServicesError, match="PLUMBLINE_JUDGE_CACHE_FILE"):
        VerdictCache(2, tmp_path / "missing" / "cache.db")
