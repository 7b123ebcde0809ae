"""The rollout is followed: loaded and warm before it serves, and whatever fails leaves what serves as it is."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from dataclasses import dataclass, field
from threading import Event, Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from deploy.registry.errors import NotThereError, RegistryError, UnreachableError, UntrustedError
from deploy.rollout.state import Rollout, RolloutStage
from detectors.detector import Detector
from detectors.errors import BundleError, ProviderError
from detectors.verdict import Arm
from services.arms.arms import Arms
from services.arms.loader import Loader
from services.arms.patience import Patience
from services.arms.serving import HeldOut, Serving
from services.loop_metrics import BundleMetrics
from tests.arms_kit import Kit, Panic

POLL = 5.0


@dataclass
class World:
    """A registry, a clock, and what becomes of them."""

    kit: Kit
    rollout: Rollout | BaseException | None = None
    problems: dict[str, BaseException] = field(default_factory=dict)
    loads: list[str] = field(default_factory=list)
    now: float = 0.0
    offered: list[Serving] = field(default_factory=list)
    metrics: CollectorRegistry = field(default_factory=CollectorRegistry)

    def begin(self, serving: Serving | None = None, held_out: HeldOut | None = None) -> Loader:
        self.arms = Arms(serving or Serving(self.kit.detector("a"), self.kit.rollout("a"), held_out=held_out))
        return Loader(
            self.asked,
            self.load,
            self.arms,
            held_out=held_out,
            poll=POLL,
            metrics=BundleMetrics(self.metrics),
            on_offer=self.offered.append,
            timer=lambda: self.now,
        )

    def asked(self) -> Rollout | None:
        if isinstance(self.rollout, BaseException):
            raise self.rollout
        return self.rollout

    def load(self, version: str) -> Detector:
        self.loads.append(version)
        if version in self.problems:
            raise self.problems[version]
        return self.kit.detector(version)

    def look(self, loader: Loader, *, times: int = 1, every: float = POLL) -> None:
        for _ in range(times):
            loader.look()
            self.now += every

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.get_sample_value(f"plumbline_{name}", labels)

    def serves(self) -> dict[Arm, str]:
        return {arm: detector.version for arm, detector in self.arms.current().detectors.items()}


@pytest.fixture
def world(kit: Kit) -> World:
    return World(kit)


def test_a_rollout_from_shadow_to_stable_is_followed_and_each_bundle_loaded_once(world: World) -> None:
    loader, rollout = world.begin(), world.kit.rollout
    steps = [
        (rollout("a", revision=2), {Arm.STABLE: "a"}),
        (rollout("a", "b", revision=3), {Arm.STABLE: "a", Arm.SHADOW: "b"}),
        (rollout("a", "b", share=0.1, revision=4), {Arm.STABLE: "a", Arm.CANARY: "b"}),
        (rollout("a", "b", share=0.5, revision=5), {Arm.STABLE: "a", Arm.CANARY: "b"}),
        (rollout("b", revision=6), {Arm.STABLE: "b"}),
    ]
    for asked, expected in steps:
        world.rollout = asked
        world.look(loader)
        assert world.serves() == expected
        assert world.arms.current().is_all_of(asked)
        assert world.value("rollout_served_revision") == asked.revision
        assert world.value("bundle_behind") == 0
    assert world.loads == ["b"]
    assert world.offered[-1] is world.arms.current()
    swaps = {arm: world.value("bundle_swaps_total", arm=arm) for arm in ("stable", "canary", "shadow")}
    assert swaps == {"stable": 1, "canary": 1, "shadow": 1}


def test_a_roll_back_needs_no_load(world: World) -> None:
    loader = world.begin(
        Serving(world.kit.detector("a"), world.kit.rollout("a", "b", share=0.5), world.kit.detector("b"))
    )
    world.rollout = world.kit.rollout("a", revision=9)
    world.look(loader)
    assert (world.serves(), world.loads) == ({Arm.STABLE: "a"}, [])


def test_nothing_is_offered_again_that_serves_already(world: World) -> None:
    loader = world.begin()
    world.rollout = world.kit.rollout("a", "b")
    world.look(loader, times=5)
    assert [serving.candidate is not None for serving in world.offered] == [False, True]


PROBLEMS = [
    (BundleError("broken"), "bundle"),
    (ProviderError("no GPU"), "provider"),
    (UntrustedError("unsigned"), "signature"),
    (UnreachableError("away"), "registry"),
    (NotThereError("gone"), "registry"),
    (RegistryError("odd"), "registry"),
    (OSError("disk full"), "other"),
    (MemoryError(), "other"),
    (Panic("of native code"), "other"),
]


@pytest.mark.parametrize(("problem", "reason"), PROBLEMS, ids=[type(each).__name__ for each, _ in PROBLEMS])
def test_what_cannot_be_loaded_leaves_the_old_one_serving_and_is_counted_and_told(
    world: World, problem: BaseException, reason: str
) -> None:
    loader = world.begin()
    before = world.arms.current()
    world.rollout, world.problems["b"] = world.kit.rollout("b", revision=2), problem
    with capture_logs() as logs:
        world.look(loader)
    assert world.arms.current() == before
    assert world.value("bundle_load_failures_total", reason=reason) == 1
    assert world.value("bundle_behind") == 1
    assert [(line["log_level"], line["reason"], line["bundle"]) for line in logs] == [("error", reason, "b")]
    del world.problems["b"]
    world.look(loader)
    assert (world.serves(), world.value("bundle_behind")) == ({Arm.STABLE: "b"}, 0)
    assert world.value("bundle_swap_seconds_sum") == POLL


def test_texts_of_errors_that_are_not_ours_are_not_logged(world: World) -> None:
    loader = world.begin()
    world.rollout, world.problems["b"] = world.kit.rollout("b"), ValueError("what somebody said")
    with capture_logs() as logs:
        world.look(loader)
    assert "said" not in str(logs)
    assert logs[0]["problem"] == "ValueError"


def test_a_broken_bundle_is_tried_again_ever_more_rarely_and_for_ever(world: World) -> None:
    loader = world.begin()
    world.rollout, world.problems["b"] = world.kit.rollout("b"), BundleError("broken")
    world.look(loader, times=720)  # an hour
    assert 12 <= len(world.loads) <= 20
    world.look(loader, times=720)
    assert world.loads[len(world.loads) // 2 :].count("b") >= 12


def test_a_new_candidate_does_not_wait_for_the_patience_with_the_one_before(world: World) -> None:
    loader = world.begin()
    world.rollout, world.problems["b"] = world.kit.rollout("a", "b"), BundleError("broken")
    world.look(loader, times=100)
    world.rollout = world.kit.rollout("a", "c", revision=3)
    world.look(loader)
    assert world.serves() == {Arm.STABLE: "a", Arm.SHADOW: "c"}


def test_of_a_rollout_whose_candidate_is_broken_the_stable_version_serves_everybody(world: World) -> None:
    loader = world.begin(Serving(world.kit.detector("z"), world.kit.rollout("z", "y"), world.kit.detector("y")))
    world.rollout, world.problems["b"] = world.kit.rollout("a", "b", share=1.0), BundleError("broken")
    world.look(loader)
    assert world.serves() == {Arm.STABLE: "a"}
    assert world.value("bundle_behind") == 1


def test_a_candidate_that_was_rolled_back_goes_even_where_the_next_stable_one_is_broken(world: World) -> None:
    loader = world.begin(
        Serving(world.kit.detector("a"), world.kit.rollout("a", "b", share=1.0), world.kit.detector("b"))
    )
    world.rollout, world.problems["c"] = world.kit.rollout("c", revision=4), BundleError("broken")
    world.look(loader)
    assert world.serves() == {Arm.STABLE: "a"}


def test_what_is_there_serves_while_the_rest_is_being_loaded(world: World) -> None:
    loader = world.begin(
        Serving(world.kit.detector("a"), world.kit.rollout("a", "b", share=1.0), world.kit.detector("b"))
    )
    seen: list[dict[Arm, str]] = []
    world.load = lambda version: seen.append(world.serves()) or world.kit.detector(version)  # type: ignore[method-assign]
    loader = Loader(world.asked, world.load, world.arms, poll=POLL, metrics=BundleMetrics(CollectorRegistry()))
    world.rollout = world.kit.rollout("b", "c", revision=4)
    loader.look()
    assert seen == [{Arm.STABLE: "b"}]  # promoted at once, and the next candidate when it is loaded
    assert world.serves() == {Arm.STABLE: "b", Arm.SHADOW: "c"}


def test_a_registry_that_is_away_changes_nothing_and_shows_after_a_minute(world: World) -> None:
    loader = world.begin()
    world.rollout = world.kit.rollout("a", revision=2)
    world.look(loader)
    before, world.rollout = world.arms.current(), UnreachableError("away")
    world.look(loader)
    assert (world.arms.current(), world.value("bundle_behind")) == (before, 0)
    world.look(loader, times=14)
    assert world.arms.current() is before
    assert world.value("bundle_behind") == 1
    failures = world.value("bundle_load_failures_total", reason="registry")
    assert failures is not None
    assert 3 <= failures < 10
    world.rollout = world.kit.rollout("b", revision=3)
    world.look(loader, times=7)
    assert (world.serves(), world.value("bundle_behind")) == ({Arm.STABLE: "b"}, 0)


def test_a_loader_that_hangs_shows_as_behind(world: World) -> None:
    """Nobody counts a failure then: what is not heard of is asked about by whoever reads the metrics."""
    world.begin()
    assert world.value("bundle_behind") == 0
    world.now += 61
    assert world.value("bundle_behind") == 1


def test_without_a_rollout_what_serves_goes_on_and_the_first_rollout_is_followed(world: World) -> None:
    loader = world.begin(Serving(world.kit.detector("shipped")))
    world.look(loader, times=3)
    assert (world.serves(), world.value("bundle_behind"), world.offered) == ({Arm.STABLE: "shipped"}, 0, [])
    world.rollout = world.kit.rollout("shipped", "b")
    world.look(loader)
    assert world.serves() == {Arm.STABLE: "shipped", Arm.SHADOW: "b"}
    assert world.loads == ["b"]


def test_what_is_held_out_stays_through_every_swap_unless_it_is_rolled_out_itself(world: World) -> None:
    held_out = HeldOut(world.kit.detector("h"), 1.0)
    loader = world.begin(held_out=held_out)
    for rollout in (world.kit.rollout("b"), world.kit.rollout("b", "c", share=0.5), world.kit.rollout("c")):
        world.rollout = rollout
        world.look(loader)
        assert world.serves()[Arm.HELD_OUT] == "h"
    world.rollout = world.kit.rollout("h")
    world.look(loader)
    assert world.serves() == {Arm.STABLE: "h"}


def test_the_old_detector_goes_when_no_batch_holds_it_any_more(world: World) -> None:
    loader = world.begin(Serving(world.kit.detector("a"), world.kit.rollout("a")))
    held = world.arms.current()
    old = weakref.ref(held.stable)
    world.rollout = world.kit.rollout("b")
    world.look(loader)
    gc.collect()
    assert old() is held.stable
    del held
    gc.collect()
    assert old() is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.sampled_from([None, "a", "b", "c"]),
            st.sampled_from([None, 0.5]),
            st.sets(st.sampled_from("abc")),
            st.booleans(),
        ),
        max_size=12,
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_asked_for_and_whatever_fails_only_what_is_asked_for_decides(
    kit: Kit, asked: list[tuple[str, str | None, float | None, set[str], bool]]
) -> None:
    world = World(kit)
    loader, revision = world.begin(), 1
    for stable, other, share, broken, is_away in asked:
        revision += 1
        candidate = None if other == stable else other
        fields = {"share": share} if share is not None and candidate else {}
        rollout = kit.rollout(stable, candidate, revision=revision, **fields)
        before = world.serves()[Arm.STABLE]
        world.rollout = UnreachableError("away") if is_away else rollout
        world.problems = {version: BundleError("broken") for version in broken}
        world.look(loader, every=600.0)
        serving = world.arms.current()
        if is_away:
            continue
        assert serving.stable.version in (stable, before)
        assert serving.candidate is None or (
            serving.stable.version == stable and serving.candidate.version == candidate and serving.rollout == rollout
        )
        if not ({stable, candidate} & broken):
            assert serving.is_all_of(rollout)
            canary = serving.rollout is not None and serving.rollout.stage is RolloutStage.CANARY
            assert (Arm.CANARY in serving.detectors) == canary


def test_the_thread_looks_again_and_again_until_it_is_stopped(world: World) -> None:
    arms, seen, stop = Arms(Serving(world.kit.detector("a"))), Event(), Event()
    rollouts = iter([None, world.kit.rollout("b")])

    def asked() -> Rollout | None:
        rollout = next(rollouts, world.kit.rollout("b"))
        if arms.current().stable.version == "b":
            seen.set()
        return rollout

    loader = Loader(asked, world.kit.detector, arms, poll=0.001, metrics=BundleMetrics(CollectorRegistry()))
    thread = Thread(target=loader.run, args=(stop,))
    thread.start()
    assert seen.wait(30)
    stop.set()
    thread.join(30)
    assert not thread.is_alive()


def test_patience_doubles_up_to_its_longest_and_is_each_thing_s_own() -> None:
    patience, tries = Patience(1.0, 8.0), Counter[str]()
    for second in range(100):
        for what in ("a", "b"):
            if patience.is_due(what, float(second)):
                tries[what] += 1
                patience.failed(what, float(second))
        if second == 50:
            patience.remember_only(["a"])
    assert tries["a"] == 15  # at 0, 1, 3, 7, 15, 23, …
    assert tries["b"] > tries["a"]
