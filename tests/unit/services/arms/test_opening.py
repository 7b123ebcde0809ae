"""What a scorer begins with, from a real registry of real bundles."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from deploy.registry import open_registry
from deploy.registry.errors import UnreachableError
from deploy.rollout.state import Rollout, first
from detectors.bundle import load_bundle, rethresholded
from detectors.errors import BundleError
from detectors.loading import DEFAULT_BUNDLE
from detectors.taxonomy import MISALIGNMENT
from detectors.verdict import Arm
from services.arms.arms import Arms
from services.arms.opening import open_arms
from services.errors import ServicesError, SettingsError, TransientError
from services.loop_metrics import BundleMetrics
from services.metrics import ScorerMetrics
from services.settings import load_settings
from tests.arms_kit import Kit

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture(scope="session")
def second_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the bundle that ships, but for one threshold: another version."""
    folder = tmp_path_factory.mktemp("bundles") / "second"
    thresholds = load_bundle(DEFAULT_BUNDLE).manifest.thresholds
    rethresholded(DEFAULT_BUNDLE, folder, {**thresholds, MISALIGNMENT: 0.123})
    return folder


@pytest.fixture(scope="session")
def published(second_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """(folder of a registry, the version that ships, another one)."""
    folder = tmp_path_factory.mktemp("registry")
    registry = open_registry(str(folder))
    return folder, registry.publish(DEFAULT_BUNDLE, {}), registry.publish(second_bundle, {})


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., tuple[Arms, CollectorRegistry]]]:
    with ExitStack() as stack:

        def open_(**fields: Any) -> tuple[Arms, CollectorRegistry]:
            settings = load_settings(**{"registry_cache": tmp_path / "cache", "retry_seconds": 0, **fields})
            metrics = CollectorRegistry()
            context = open_arms(settings, ScorerMetrics(metrics), BundleMetrics(metrics), Event())
            return stack.enter_context(context), metrics

        yield open_


def test_without_a_registry_the_configured_bundle_serves_and_its_version_may_be_demanded(opened: Any) -> None:
    arms, metrics = opened()
    serving = arms.current()
    assert (serving.rollout, list(serving.detectors)) == (None, [Arm.STABLE])
    info = {"version": serving.stable.version, "provider": "cpu", "arm": "stable"}
    assert metrics.get_sample_value("plumbline_bundle_info", info) == 1
    assert metrics.get_sample_value("plumbline_bundle_behind") == 0
    with pytest.raises(BundleError, match="PLUMBLINE_BUNDLE_VERSION"):
        opened(bundle_version="another-1")


def test_with_a_registry_what_its_rollout_says_serves(
    opened: Any, published: tuple[Path, str, str], kit: Kit, tmp_path: Path
) -> None:
    folder, shipped, second = published
    registry = _copy(folder, tmp_path)
    open_registry(str(registry)).move(first(second, NOW))
    open_registry(str(registry)).move(kit.rollout(second, shipped, revision=2))
    arms, metrics = opened(registry=str(registry))
    assert {arm: each.version for arm, each in arms.current().detectors.items()} == {
        Arm.STABLE: second,
        Arm.SHADOW: shipped,
    }
    assert metrics.get_sample_value("plumbline_rollout_served_revision") == 2
    seconds = metrics.get_sample_value("plumbline_inference_seconds_count", {"classifier": "encoder"})
    assert seconds == 0  # nobody waited for the rehearsal: it is not among the times of what came in


def test_an_empty_registry_serves_the_configured_bundle_and_nothing_is_published(opened: Any, tmp_path: Path) -> None:
    folder = tmp_path / "registry"
    arms, metrics = opened(registry=str(folder))
    assert arms.current().rollout is None
    assert metrics.get_sample_value("plumbline_bundle_behind") == 0
    assert open_registry(str(folder)).versions() == []


def test_a_stable_version_that_is_not_there_or_not_trusted_is_no_start(
    opened: Any, published: tuple[Path, str, str], tmp_path: Path
) -> None:
    registry = _copy(published[0], tmp_path)
    open_registry(str(registry)).move(first("gone-1", NOW))
    with pytest.raises(ServicesError, match="PLUMBLINE_REGISTRY"):
        opened(registry=str(registry))
    trusted = "3q2+7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    other = _copy(published[0], tmp_path / "other")
    open_registry(str(other)).move(first(published[1], NOW))
    with pytest.raises(ServicesError, match="PLUMBLINE_REGISTRY"):
        opened(registry=str(other), registry_public_key=trusted)


def test_where_the_stable_version_is_broken_the_one_before_serves_and_says_so(
    opened: Any, published: tuple[Path, str, str], tmp_path: Path, kit: Kit
) -> None:
    folder, shipped, second = published
    registry = _copy(folder, tmp_path)
    digest = open_registry(str(registry)).describe(second).files["manifest.json"].sha256
    (registry / "files" / digest).write_bytes(b"{}")
    open_registry(str(registry)).move(kit.rollout(second, previous=shipped))
    arms, metrics = opened(registry=str(registry))
    assert {arm: each.version for arm, each in arms.current().detectors.items()} == {Arm.STABLE: shipped}
    assert metrics.get_sample_value("plumbline_bundle_behind") == 1
    assert metrics.get_sample_value("plumbline_rollout_served_revision") == 0


def test_a_registry_that_does_not_answer_is_waited_for_and_then_left(
    opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    class Away:
        def rollout(self) -> Rollout | None:
            asked.append(1)
            raise UnreachableError("nobody there")

    monkeypatch.setattr("services.arms.opening.open_registry", lambda *_, **__: Away())
    monkeypatch.setattr("services.arms.opening._FIRST_PAUSE", 0.001)
    with pytest.raises(TransientError, match="PLUMBLINE_REGISTRY"):
        opened(registry="s3://nowhere", retry_seconds=0.05)
    assert len(asked) > 2


def test_what_serves_cannot_be_held_out(opened: Any, second_bundle: Path) -> None:
    with pytest.raises(SettingsError, match="held_out_bundle"):
        opened(held_out_bundle=DEFAULT_BUNDLE)
    arms, _ = opened(held_out_bundle=second_bundle, held_out_share=0.25)
    held_out = arms.current().held_out
    assert held_out is not None
    assert held_out.share == 0.25


def _copy(folder: Path, into: Path) -> Path:
    """A registry of the test's own, with the same versions."""
    return shutil.copytree(folder, into / "registry")
