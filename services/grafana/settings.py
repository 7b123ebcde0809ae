"""Settings of `plumbline grafana`, from environment variables `PLUMBLINE_GRAFANA_*`."""

from __future__ import annotations

from typing import Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.errors import SettingsError


class GrafanaSettings(BaseSettings):
    """Where Grafana is, and who we are there: a service account's token, or user and password."""

    model_config = SettingsConfigDict(env_prefix="PLUMBLINE_GRAFANA_", frozen=True, extra="ignore")

    url: str = Field(
        default="http://localhost:3000", pattern="^https?://[^@]+$", description="without user and password"
    )
    token: SecretStr | None = None
    user: str | None = None
    password: SecretStr | None = None
    prometheus_url: str = Field(default="http://localhost:9090", pattern="^https?://[^@]+$")
    folder: str = Field(default="Plumbline", min_length=1, max_length=100)
    timeout_seconds: float = Field(default=10, gt=0, le=300)

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if self.token is None and (self.user is None or self.password is None):
            raise ValueError("PLUMBLINE_GRAFANA_TOKEN, or _USER and _PASSWORD, are required")
        return self


def load_grafana_settings() -> GrafanaSettings:
    """Raises `SettingsError`; no value that was given is in it."""
    try:
        return GrafanaSettings()
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        lines = [
            f"{'PLUMBLINE_GRAFANA_' + str(each['loc'][0]).upper() + ': ' if each['loc'] else ''}"
            f"{each['msg'].removeprefix('Value error, ')}"
            for each in problems
        ]
        raise SettingsError("\n".join(lines)) from None
