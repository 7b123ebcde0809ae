"""Settings, from environment variables `PLUMBLINE_*`, read once at the start of a process."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from detectors.loading import DEFAULT_BUNDLE
from detectors.onnx_classifier import Provider
from services.errors import SettingsError

_PREFIX = "PLUMBLINE_"
MEBIBYTE = 1024 * 1024


class Settings(BaseSettings):
    """All settings of all processes; each process uses its part."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="ignore")

    kafka_bootstrap_servers: str = Field(
        default="127.0.0.1:9092", min_length=3, description="host:port, comma-separated"
    )
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI"] | None = None
    kafka_sasl_username: str | None = None
    kafka_sasl_password: SecretStr | None = None
    kafka_ssl_cafile: Path | None = None
    kafka_ssl_certfile: Path | None = None
    kafka_ssl_keyfile: Path | None = None
    kafka_ssl_password: SecretStr | None = None
    kafka_ssl_check_hostname: bool = True
    kafka_session_timeout_seconds: float = Field(default=10, ge=1, le=1800)
    topic_prefix: str = Field(default="plumbline.", pattern=r"^[A-Za-z0-9._-]{0,100}$")
    topic_partitions: int = Field(default=6, ge=1, le=10_000, description="used by `topics create`")
    topic_replication: int = Field(default=1, ge=1, le=10, description="used by `topics create`; 3 in production")
    record_max_bytes: int = Field(default=12 * MEBIBYTE, ge=64 * 1024, le=512 * MEBIBYTE)

    database_url: SecretStr = SecretStr("sqlite:///var/plumbline.db")

    bundle: Path = DEFAULT_BUNDLE
    bundle_version: str | None = Field(default=None, description="refuse any other; pins what was released")
    provider: Provider = Provider.CPU
    inference_threads: int = Field(default=0, ge=0, le=256, description="0: one for each core")
    inference_batch_windows: int = Field(
        default=2, ge=1, le=1024, description="2 is fastest on CPUs; 64 or more on GPUs"
    )
    max_windows: int = Field(default=256, ge=1, le=100_000, description="per event; what is beyond is partial")
    audit_share: float = Field(
        default=0.01, ge=0, le=1, description="stopped by the screen, yet encoded, to count its misses"
    )

    batch_max_records: int = Field(default=32, ge=1, le=10_000)
    batch_max_bytes: int = Field(default=MEBIBYTE, ge=1024, description="bounds the time that a batch takes")
    batch_max_age_ms: int = Field(default=20, ge=0, le=60_000, description="how long a batch waits to fill")
    retry_seconds: float = Field(default=60, ge=0, le=3600, description="how long broker or database may be away")

    dead_letter_limit: float = Field(
        default=0.5, gt=0, le=1, description="share of dead letters that stops the service"
    )
    dead_letter_window: int = Field(
        default=1000, ge=10, le=1_000_000, description="records that the share is taken over"
    )

    alertmanager_url: str | None = Field(default=None, description="where the correlator posts alerts; none: nowhere")
    alertmanager_token: SecretStr | None = Field(default=None, description="sent as a bearer token")
    runbooks_url: str = Field(default="docs/runbooks", description="what links to runbooks begin with")
    case_url: str | None = Field(
        default=None, description="link to a case; may hold {tenant}, {conversation} and {verdict}"
    )
    correlation_step_seconds: float = Field(default=15, ge=0.1, le=300, description="how often rules are asked")
    correlation_hours: float = Field(default=24, ge=1, le=168, description="what is gone through again after a restart")
    flag_budget_share: float | None = Field(
        default=None, gt=0, lt=1, description="share of events that may be flagged; none: the bundle's"
    )

    probe_interval_seconds: float = Field(
        default=30, ge=0.1, le=60, description="between synthetic transcripts; alerts count those of an hour"
    )
    probe_timeout_seconds: float = Field(default=120, ge=0.1, le=3600, description="without a verdict, a probe is lost")
    probe_tenant: str = Field(default="plumbline-probe", min_length=1, max_length=100)

    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(default=9464, ge=0, le=65535, description="0: none")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"

    @model_validator(mode="after")
    def _sasl_is_whole(self) -> Settings:
        if self.kafka_security_protocol.startswith("SASL"):
            if self.kafka_sasl_mechanism is None:
                raise ValueError("kafka_sasl_mechanism is required with a SASL security protocol")
            named = self.kafka_sasl_username is not None and self.kafka_sasl_password is not None
            if self.kafka_sasl_mechanism != "GSSAPI" and not named:
                raise ValueError("kafka_sasl_username and kafka_sasl_password are required with this mechanism")
        elif self.kafka_sasl_mechanism or self.kafka_sasl_username or self.kafka_sasl_password:
            raise ValueError("kafka_sasl_mechanism needs kafka_security_protocol SASL_SSL or SASL_PLAINTEXT")
        return self

    @model_validator(mode="after")
    def _no_certificates_in_the_clear(self) -> Settings:
        files = (self.kafka_ssl_cafile, self.kafka_ssl_certfile, self.kafka_ssl_keyfile)
        if any(files) and not self.kafka_security_protocol.endswith("SSL"):
            raise ValueError("kafka_ssl_cafile and its like need kafka_security_protocol SSL or SASL_SSL")
        return self

    @model_validator(mode="after")
    def _batch_fits(self) -> Settings:
        if self.dead_letter_window < self.batch_max_records:
            raise ValueError("dead_letter_window must be at least batch_max_records")
        return self

    @property
    def batch_max_age(self) -> timedelta:
        return timedelta(milliseconds=self.batch_max_age_ms)

    @property
    def retry_for(self) -> timedelta:
        return timedelta(seconds=self.retry_seconds)

    def topic(self, name: str) -> str:
        """The full name of a topic, `topic("verdicts")`."""
        return f"{self.topic_prefix}{name}"


def load_settings(**overrides: Any) -> Settings:
    """Settings from the environment and `overrides`. Raises `SettingsError` naming every field that makes no sense."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        lines = [f"{_where(problem['loc'])}{problem['msg'].removeprefix('Value error, ')}" for problem in problems]
        raise SettingsError("\n".join(_as_variables(line) for line in lines)) from None


def _where(location: tuple[int | str, ...]) -> str:
    return f"{location[0]}: " if location else ""


def _as_variables(line: str) -> str:
    """Fields by the names that people set them by."""
    return " ".join(
        f"{_PREFIX}{word.rstrip(':').upper()}{':' if word.endswith(':') else ''}"
        if word.rstrip(":") in Settings.model_fields
        else word
        for word in line.split(" ")
    )
