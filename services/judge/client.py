"""Endpoints that answer a judge's questions: anything that speaks OpenAI's chat completions, and Anthropic's messages.

The client libraries come with the extra `judge`, and are imported only where an endpoint is made.
"""

from __future__ import annotations

import importlib
import json
import logging
from typing import Any, Protocol

from services.errors import SettingsError
from services.judge.errors import JudgeError, Malformed
from services.judge.failures import failure
from services.judge.wire import Answer, read_completion, read_message

OPENAI_URL = "https://api.openai.com/v1"
ANTHROPIC_URL = "https://api.anthropic.com"


class JudgeEndpoint(Protocol):
    """One model behind an API."""

    kind: str
    model: str

    def ask(self, system: str, user: str, schema: dict[str, Any], seed: int, *, timeout: float) -> Answer:
        """One answer, as JSON of `schema`; tried once, for at most `timeout` seconds between bytes.

        Raises `JudgeError`. The answer is text: whoever asks checks it against the schema.
        """
        ...

    def close(self) -> None:
        """Closes its connections."""
        ...


class OpenAIEndpoint:
    """Chat completions with a JSON schema. `base_url` may be any server that speaks them."""

    kind = "openai"

    def __init__(self, *, model: str, api_key: str, base_url: str | None, max_output_tokens: int) -> None:
        """Raises `SettingsError` where the library is not installed."""
        self.model = model
        self._max_output_tokens = max_output_tokens
        self._library = _library("openai")
        self._client = self._library.OpenAI(api_key=api_key, base_url=base_url or OPENAI_URL, max_retries=0)

    def ask(self, system: str, user: str, schema: dict[str, Any], seed: int, *, timeout: float) -> Answer:
        try:
            response = self._client.chat.completions.with_raw_response.create(
                model=self.model,
                messages=[{"role": "system", "content": system}, {"role": "user", "content": user}],
                response_format={
                    "type": "json_schema",
                    "json_schema": {"name": "judgement", "strict": True, "schema": schema},
                },
                max_completion_tokens=self._max_output_tokens,
                seed=seed,
                timeout=timeout,
            )
            return read_completion(response.http_response.content)
        except Exception as error:
            raise _typed(self._library, error) from None

    def close(self) -> None:
        self._client.close()


class AnthropicEndpoint:
    """Messages with a JSON schema. The API has no seed: samples differ by chance."""

    kind = "anthropic"

    def __init__(self, *, model: str, api_key: str, base_url: str | None, max_output_tokens: int) -> None:
        """Raises `SettingsError` where the library is not installed."""
        self.model = model
        self._max_output_tokens = max_output_tokens
        self._library = _library("anthropic")
        self._client = self._library.Anthropic(
            api_key=api_key,
            base_url=base_url or ANTHROPIC_URL,
            max_retries=0,
            open_telemetry=False,  # its spans can carry content
        )

    def ask(self, system: str, user: str, schema: dict[str, Any], seed: int, *, timeout: float) -> Answer:
        del seed
        try:
            response = self._client.messages.with_raw_response.create(
                model=self.model,
                system=system,
                messages=[{"role": "user", "content": user}],
                output_config={"format": {"type": "json_schema", "schema": schema}},
                max_tokens=self._max_output_tokens,
                timeout=timeout,
            )
            return read_message(response.http_response.content)
        except Exception as error:
            raise _typed(self._library, error) from None

    def close(self) -> None:
        self._client.close()


def worst_case_input_tokens(system: str, user: str, schema: dict[str, Any]) -> int:
    """More than any tokenizer makes of a request: a token is at least a byte, and the API adds some of its own."""
    written = system + user + json.dumps(schema)
    return len(written.encode("utf-8", "surrogatepass")) + 2_000


def _library(name: str) -> Any:
    try:
        library = importlib.import_module(name)
    except ImportError:
        raise SettingsError(
            f"PLUMBLINE_JUDGE_PROVIDER: {name} needs its client library: pip install 'plumbline[judge]'"
        ) from None
    for logger in (name, "httpx2", "httpcore2"):
        logging.getLogger(logger).setLevel(logging.WARNING)  # what they say at debug level quotes requests
    return library


def _typed(library: Any, error: Exception) -> JudgeError:
    if isinstance(error, JudgeError):
        return error
    # Nothing but an answer that the library cannot make sense of is left.
    return failure(library, error) or Malformed(f"the client library failed with {type(error).__name__}")
