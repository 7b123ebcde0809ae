"""A judge as the settings say."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Final

from services.errors import SettingsError
from services.judge.budget import Budget, Prices
from services.judge.cache import VerdictCache
from services.judge.client import AnthropicEndpoint, OpenAIEndpoint
from services.judge.judging import Judge
from services.judge.settings import JudgeSettings

_ENDPOINTS: Final[dict[str, type[OpenAIEndpoint] | type[AnthropicEndpoint]]] = {
    "openai": OpenAIEndpoint,
    "anthropic": AnthropicEndpoint,
}


@contextmanager
def open_judge(settings: JudgeSettings) -> Iterator[Judge]:
    """Yields the judge; closes its connections and its cache. Raises `SettingsError` where none is configured."""
    if settings.provider == "none":
        raise SettingsError(
            "no judge is configured: set PLUMBLINE_JUDGE_PROVIDER to openai or anthropic, and PLUMBLINE_JUDGE_MODEL, "
            "PLUMBLINE_JUDGE_API_KEY, PLUMBLINE_JUDGE_INPUT_PRICE and PLUMBLINE_JUDGE_OUTPUT_PRICE"
        )
    if settings.model is None or settings.api_key is None:
        raise AssertionError("JudgeSettings sees to these")
    endpoint = _ENDPOINTS[settings.provider](
        model=settings.model,
        api_key=settings.api_key.get_secret_value(),
        base_url=settings.base_url,
        max_output_tokens=settings.max_output_tokens,
    )
    with closing(endpoint), VerdictCache(settings.cache_entries, settings.cache_file) as cache:
        yield Judge(
            endpoint,
            budget=budget_of(settings),
            cache=cache,
            settings=settings,
            clock=lambda: datetime.now(UTC),
            sleep=time.sleep,
            rng=random.SystemRandom(),
        )


def budget_of(settings: JudgeSettings) -> Budget:
    """An untouched budget."""
    if settings.input_price is None or settings.output_price is None:
        raise AssertionError("JudgeSettings sees to these")
    return Budget(
        daily=settings.daily_budget,
        prices=Prices(settings.input_price, settings.output_price),
        per_minute=settings.requests_per_minute,
    )
