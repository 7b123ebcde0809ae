"""Settings, from environment variables `PLUMBLINE_*`, read once at the start of a process."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, Json, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from detectors.loading import DEFAULT_BUNDLE
from detectors.onnx_classifier import Provider
from services.accounts.principal import Role
from services.accounts.urls import is_origin, is_safe_url
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
    registry: str | None = Field(
        default=None, description="folder or fsspec URL of the registry of bundles; none: PLUMBLINE_BUNDLE is served"
    )
    registry_cache: Path = Field(default=Path("var/bundles"), description="where fetched bundles are kept")
    registry_poll_seconds: float = Field(default=5, ge=0.05, le=3600, description="between looks at the rollout")
    registry_signing_key: SecretStr | None = Field(
        default=None, description="Ed25519 private key (base64, 32 bytes): what is published is signed"
    )
    registry_public_key: str | None = Field(
        default=None, description="Ed25519 public key (base64): what is not signed by it is not served"
    )
    held_out_bundle: Path | None = Field(
        default=None, description="a detector that watches and whose word reaches no training data"
    )
    held_out_share: float = Field(default=1.0, ge=0, le=1, description="of conversations that it watches")
    held_out_detectors: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9_.,-]*$",
        description="names of detectors, comma-separated, that `export` refuses to find in training data, like judge",
    )
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

    store_conversations: bool = Field(default=True, description="keep what was said, redacted, for people to read")
    audit_sample_share: float = Field(
        default=0.002, ge=0, le=1, description="conversations that people see unannounced, flagged or not"
    )
    second_review_share: float = Field(
        default=0.1, ge=0, le=1, description="decisions that somebody else takes as well, blindly"
    )
    undo_seconds: float = Field(default=10, ge=0, le=3600, description="until then a decision leaves no trace outside")
    silence_hours: float = Field(default=24, gt=0, le=720, description="of a case's alerts, when somebody looks at it")
    retention_days: float = Field(default=30, gt=0, le=3650, description="of conversations that belong to no case")
    case_retention_days: float = Field(default=365, gt=0, le=3650, description="of conversations that belong to one")

    redact: str = Field(
        default="all",
        pattern=r"^[A-Za-z0-9_.,-]+$",
        description="what is masked before anything is stored: all, none, or some of email,phone,card,iban,secret",
    )
    redact_phone_regions: str = Field(
        default="US,GB",
        pattern=r"^[A-Za-z,]*$",
        description="countries whose phone numbers are known without country code",
    )
    sealing_keys: SecretStr = Field(
        default=SecretStr(""),
        description="comma-separated Fernet keys, newest first, that keep what was masked; empty: it is not kept",
    )

    outbox_poll_seconds: float = Field(default=0.5, ge=0.01, le=60, description="between looks at what is to leave")
    outbox_lease_seconds: float = Field(
        default=30, ge=1, le=3600, description="until another process takes over from one that died"
    )

    web_host: str = "127.0.0.1"
    web_port: int = Field(default=8600, ge=0, le=65535)
    web_url: str | None = Field(
        default=None, description="how browsers reach the page; with https, cookies travel by https alone"
    )
    web_hosts: str = Field(
        default="localhost,127.0.0.1,[::1]",
        description="host names that requests may ask for, comma-separated, beside that of PLUMBLINE_WEB_URL",
    )
    web_max_body_bytes: int = Field(default=2 * MEBIBYTE, ge=1024, le=64 * MEBIBYTE)
    web_body_seconds: float = Field(default=10, ge=0.1, le=300, description="for a request's whole body to arrive")
    trusted_proxies: str = Field(
        default="", description="networks whose X-Forwarded-For is believed, comma-separated, like 10.0.0.0/8"
    )
    session_idle_minutes: float = Field(default=60, ge=1, le=1440, description="without a request, until it is over")
    session_hours: float = Field(default=12, ge=0.1, le=168, description="after a login, until it is over")
    login_attempts: int = Field(default=10, ge=1, le=1000, description="for one account, in PLUMBLINE_LOGIN_MINUTES")
    login_attempts_per_address: int = Field(default=30, ge=1, le=10_000, description="likewise, for one address")
    login_minutes: int = Field(default=5, ge=1, le=1440)
    requests_per_minute: int = Field(default=1200, ge=1, le=100_000, description="of one person or token")

    oidc_issuer: str | None = Field(default=None, description="OpenID Connect provider; none: local accounts alone")
    oidc_client_id: str | None = None
    oidc_client_secret: SecretStr | None = Field(default=None, description="none: a public client, with PKCE alone")
    oidc_scopes: str = Field(default="openid profile email", pattern=r"^openid( [!-~]+)*$")
    oidc_name_claim: str = Field(default="preferred_username", min_length=1, description="what accounts are called by")
    oidc_role_claim: str = Field(default="groups", min_length=1, description="what roles and tenants are given by")
    oidc_roles: Json[dict[str, Role]] = Field(
        default={}, validate_default=False, description='JSON, like {"soc": "triager"}'
    )
    oidc_tenants: Json[dict[str, list[str]]] = Field(
        default={},
        validate_default=False,
        description='JSON, like {"soc": ["acme"], "leads": ["*"]}; empty: all tenants for everybody',
    )
    oidc_default_role: Role | None = Field(default=None, description="of who has none; none: no access")

    retraining_folder: Path = Field(default=Path("var/retraining"), description="datasets and runs")
    retraining_mode: Literal["refresh", "full"] = Field(
        default="refresh", description="refresh: screen and heads, in minutes; full: the encoder as well (torch)"
    )
    retraining_new_labels: int = Field(
        default=20, ge=1, le=1_000_000, description="new confirmed labels of one category that set off a run"
    )
    retraining_quiet_minutes: float = Field(
        default=15, ge=0, le=10_080, description="without a new label, before a run"
    )
    retraining_pause_hours: float = Field(default=6, ge=0, le=8_760, description="between runs that nobody asked for")
    retraining_schedule_days: float = Field(
        default=30, ge=0, le=3650, description="at least one run in; 0: no schedule"
    )
    retraining_false_positives: float = Field(
        default=0.5, gt=0, le=1, description="share of flags that people dismissed that sets off a run"
    )
    retraining_runs_per_day: int = Field(default=4, ge=1, le=1000, description="that nobody asked for")
    retraining_stage_minutes: float = Field(default=180, ge=0.1, le=10_080, description="that a stage may take")
    retraining_attempts: int = Field(default=3, ge=1, le=100, description="of a stage, before a run fails")
    retraining_threads: int = Field(default=2, ge=1, le=256)
    retraining_poll_seconds: float = Field(default=5, ge=0.05, le=3600)
    most_per_reviewer: float = Field(
        default=0.5, gt=0, le=1, description="share of a category's labels that one reviewer may give"
    )
    most_per_tenant: float = Field(default=0.8, gt=0, le=1, description="likewise, one tenant")

    rollout_shadow_events: int = Field(default=500, ge=1, description="that the shadow stage takes at least")
    rollout_shadow_minutes: float = Field(default=60, ge=0, le=100_000)
    rollout_canary_events: int = Field(
        default=500, ge=1, description="of the candidate, that the canary takes at least"
    )
    rollout_canary_minutes: float = Field(default=240, ge=0, le=100_000)
    rollout_canary_share: float = Field(default=0.1, gt=0, le=1)
    rollout_stage_hours: float = Field(default=168, gt=0, le=8760, description="without enough traffic: rolled back")
    rollout_poll_seconds: float = Field(default=10, ge=0.05, le=3600)

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

    @field_validator("web_url")
    @classmethod
    def _web_url_is_an_origin(cls, value: str | None) -> str | None:
        if value is not None and not is_origin(value):
            raise ValueError("must be like https://triage.example.org, without a path")
        return value if value is None else value.rstrip("/").lower()

    @field_validator("oidc_issuer")
    @classmethod
    def _issuer_is_safe(cls, value: str | None) -> str | None:
        if value is not None and not is_safe_url(value):
            raise ValueError("must be an https URL")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies_are_networks(cls, value: str) -> str:
        for network in filter(None, value.split(",")):
            ip_network(network.strip())
        return value

    @model_validator(mode="after")
    def _oidc_is_whole(self) -> Settings:
        if self.oidc_issuer is not None and (self.oidc_client_id is None or self.web_url is None):
            raise ValueError("oidc_issuer needs oidc_client_id and web_url")
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
