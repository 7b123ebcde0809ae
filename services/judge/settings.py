"""The judge's settings, from environment variables `PLUMBLINE_JUDGE_*`. Without a provider there is no judge."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from detectors.judge import MIN_CHUNK_CHARS
from services.errors import SettingsError

_PREFIX = "PLUMBLINE_JUDGE_"


class JudgeSettings(BaseSettings):
    """Which model judges, how often it is asked, and what that may cost."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True)

    provider: Literal["none", "openai", "anthropic"] = Field(
        default="none", description="none: no judge; openai: any server that speaks its chat completions"
    )
    base_url: str | None = Field(default=None, pattern=r"^https?://[^@\s]+$", description="default: the provider's own")
    model: str | None = Field(default=None, min_length=1, max_length=256, pattern=r"^\S+$")
    api_key: SecretStr | None = None
    samples: int = Field(default=1, ge=1, le=15, description="answers for each event; their median counts")
    timeout: float = Field(default=60, gt=0, le=3600, description="seconds for one request")
    deadline: float = Field(default=300, gt=0, le=86_400, description="seconds for one event with all its requests")
    retries: int = Field(default=3, ge=0, le=20, description="of one request, after rate limits and timeouts")
    max_chunk_chars: int = Field(default=60_000, ge=MIN_CHUNK_CHARS, le=4_000_000, description="of one request")
    max_chunks: int = Field(default=32, ge=1, le=10_000, description="of one event; longer ones are not judged")
    max_output_tokens: int = Field(default=8_192, ge=256, le=1_000_000, description="of one answer")
    daily_budget: Decimal = Field(
        default=Decimal(1), ge=0, le=1_000_000, description="currency for each day (UTC) and process"
    )
    input_price: Decimal | None = Field(default=None, ge=0, le=100_000, description="of a million input tokens")
    output_price: Decimal | None = Field(default=None, ge=0, le=100_000, description="of a million output tokens")
    requests_per_minute: int = Field(default=60, ge=1, le=1_000_000)
    cache_entries: int = Field(default=10_000, ge=1, le=1_000_000)
    cache_file: Path | None = Field(default=None, description="SQLite; default: the cache ends with the process")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.provider != "none":
            missing = [
                name for name in ("model", "api_key", "input_price", "output_price") if getattr(self, name) is None
            ]
            if missing:
                named = ", ".join(f"{_PREFIX}{name.upper()}" for name in missing)
                raise ValueError(f"provider {self.provider} also needs {named} (prices of your own server may be 0)")
        return self


def load_judge_settings(**overrides: Any) -> JudgeSettings:
    """Settings from the environment and `overrides`. Raises `SettingsError` naming every variable in question."""
    try:
        return JudgeSettings(**overrides)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        raise SettingsError("\n".join(_line(problem["loc"], problem["msg"]) for problem in problems)) from None


def _line(location: tuple[int | str, ...], message: str) -> str:
    place = f"{_PREFIX}{str(location[0]).upper()}" if location else f"{_PREFIX}PROVIDER"
    return f"{place}: {message.removeprefix('Value error, ')}"
