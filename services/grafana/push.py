"""Brings a Grafana up to date, over its HTTP API. The client comes with the extra `grafana`."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from services.errors import ServicesError, TransientError
from services.grafana.plan import (
    FOLDER_UID,
    annotation,
    datasource,
    differs,
    has_annotation,
    merged,
    old,
    same_dashboard,
)
from services.grafana.settings import GrafanaSettings

DASHBOARDS: Final = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards"


class Grafana:
    """One Grafana. Raises `ServicesError` for what a person must mend, `TransientError` where it does not answer."""

    def __init__(self, settings: GrafanaSettings) -> None:
        try:
            client = importlib.import_module("grafana_client")
        except ImportError:
            raise ServicesError(
                "Grafana's client is not installed: pip install 'plumbline[cpu,grafana]', in an environment of its own"
            ) from None
        self._settings = settings
        self._errors = importlib.import_module("grafana_client.client")
        credential: Any = (
            client.TokenAuth(token=settings.token.get_secret_value())
            if settings.token
            else (settings.user, settings.password.get_secret_value() if settings.password else "")
        )
        self._api = client.GrafanaApi.from_url(
            f"{settings.url.rstrip('/')}/", credential=credential, timeout=settings.timeout_seconds
        )

    def check(self) -> str:
        """Grafana's version. Raises where it is too old, or where there is no Grafana at all."""
        with self._explained():
            health = self._api.client.GET("/health")  # the one answer that needs no rights
        version = health.get("version") if isinstance(health, dict) else None
        if not isinstance(version, str):
            raise ServicesError(f"{self._settings.url} answers, but not like Grafana (PLUMBLINE_GRAFANA_URL)")
        if old(version):
            raise ServicesError(f"Grafana {version} is too old: 10.0 or newer is needed")
        return version

    def push(self) -> list[str]:
        """What was changed, in words; empty where everything was as it should be."""
        self.check()
        with self._explained():
            return [*self._folder(), *self._datasource(), *self._dashboards()]

    def annotate(
        self, kind: str, text: str, at_ms: int, model_version: str | None, *, since_ms: int | None = None
    ) -> bool:
        """Whether the annotation is new: the same was not said about this moment, or one from `since_ms` on."""
        self.check()
        wanted, since = annotation(kind, text, at_ms, model_version), at_ms if since_ms is None else since_ms
        with self._explained():
            there = self._api.annotations.find_annotations(time_from=since, time_to=at_ms, tags=["plumbline", kind])
            if has_annotation(wanted, there, since):
                return False
            self._api.annotations.add_annotation(**wanted)
        return True

    def _folder(self) -> Iterator[str]:
        there = self._found(lambda: self._api.folder.get_folder(FOLDER_UID))
        if there is None:
            self._api.folder.create_folder(self._settings.folder, FOLDER_UID)
            yield f"folder {self._settings.folder} created"
        elif there["title"] != self._settings.folder:
            self._api.folder.update_folder(FOLDER_UID, self._settings.folder, overwrite=True)
            yield f"folder {self._settings.folder} renamed"

    def _datasource(self) -> Iterator[str]:
        wanted = datasource(self._settings.prometheus_url)
        there = self._found(lambda: self._api.datasource.get_datasource_by_uid(wanted["uid"]))
        if there is None:
            self._api.datasource.create_datasource(wanted)
            yield f"data source {wanted['name']} created"
        elif differs(wanted, there):
            if there.get("readOnly"):
                raise _from_a_file(f"data source {wanted['name']}")
            self._api.datasource.update_datasource_by_uid(wanted["uid"], merged(wanted, there))
            yield f"data source {wanted['name']} updated"

    def _dashboards(self) -> Iterator[str]:
        paths = sorted(DASHBOARDS.glob("*.json"))
        if not paths:
            raise ServicesError(f"no dashboards in {DASHBOARDS}: this installation of Plumbline is not whole")
        for path in paths:
            wanted = json.loads(path.read_text("utf-8"))
            there = self._found(lambda uid=wanted["uid"]: self._api.dashboard.get_dashboard(uid))  # type: ignore[misc]
            if there is not None and _right(wanted, there):
                continue
            if there is not None and there["meta"].get("provisioned"):
                raise _from_a_file(f"dashboard {wanted['title']}")
            self._api.dashboard.update_dashboard({"dashboard": wanted, "folderUid": FOLDER_UID, "overwrite": True})
            yield f"dashboard {wanted['title']} {'created' if there is None else 'updated'}"

    def _found(self, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except self._errors.GrafanaClientError as error:
            if getattr(error, "status_code", None) == 404:
                return None
            raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """In words what went wrong; never with what was sent."""
        where = self._settings.url
        try:
            yield
        except self._errors.GrafanaUnauthorizedError:
            raise ServicesError(f"{where} does not know this token or password (PLUMBLINE_GRAFANA_TOKEN)") from None
        except self._errors.GrafanaTimeoutError:
            raise TransientError(f"{where} did not answer in time") from None
        except self._errors.GrafanaException as error:
            status = getattr(error, "status_code", None)
            if status == 403:
                raise ServicesError(f"{where} does not let this account do that: it must be an admin") from None
            if status == 404:
                raise ServicesError(f"{where} answers, but not like Grafana (PLUMBLINE_GRAFANA_URL)") from None
            if isinstance(error, self._errors.GrafanaServerError):
                raise TransientError(f"{where} answered with status {status}") from None
            raise ServicesError(f"{where} refused with status {status}") from None
        except (OSError, ValueError) as error:
            raise TransientError(f"{where} cannot be reached: {type(error).__name__}") from None


def _right(wanted: Mapping[str, Any], there: Mapping[str, Any]) -> bool:
    """Whether a dashboard shows what it should, and lies in our folder. One from a file lies where its file says."""
    meta = there["meta"]
    return same_dashboard(wanted, there["dashboard"]) and (
        bool(meta.get("provisioned")) or meta.get("folderUid") == FOLDER_UID
    )


def _from_a_file(what: str) -> ServicesError:
    return ServicesError(f"{what} is otherwise, and comes from a file of Grafana's own provisioning: change it there")
