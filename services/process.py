"""What every service process has: a stop signal, metrics, logs, and an exit code that says how it ended."""

from __future__ import annotations

import signal
from collections.abc import Callable
from importlib.util import find_spec
from threading import Event
from types import FrameType
from typing import TypeVar

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector

from detectors.bundle import load_bundle
from services.arms.opening import open_arms
from services.dead_letters import FloodGate
from services.errors import ServicesError
from services.kafka import KafkaSink, KafkaSource, KafkaTail, all_topics, require_topics
from services.logs import get_logger
from services.loop_metrics import BundleMetrics
from services.metrics import ProbeMetrics, RecorderMetrics, ScorerMetrics, StreamMetrics, serve_metrics
from services.probing.prober import Prober
from services.recorder import Recorder
from services.schema import upgrade
from services.scorer import Scorer
from services.settings import Settings
from services.store import Database, Store, open_engine
from services.stream import Batching, Handler, Stream
from services.triage.configured import archivist_of, intake_of, salt_of

Prepared = TypeVar("Prepared")


def stop_on_signals() -> Event:
    """An event that SIGTERM and SIGINT set; a second signal ends the process at once."""
    stop = Event()

    def on_signal(number: int, _: FrameType | None) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    return stop


def run_scorer(settings: Settings, stop: Event) -> None:
    """Scores transcripts until `stop`."""
    log = get_logger("scorer")
    registry = _registry(settings)
    stream_metrics, metrics = StreamMetrics(registry), ScorerMetrics(registry)  # at 0 before a bundle is loaded
    with open_arms(settings, metrics, BundleMetrics(registry), stop) as arms:
        scorer = Scorer(
            arms.current,
            verdict_topic=settings.topic("verdicts"),
            max_bytes=settings.record_max_bytes,
            metrics=metrics,
        )
        stable = arms.current().stable
        log.info("ready", bundle=stable.version, uncovered=stable.manifest.uncovered)
        _run(settings, stream_metrics, scorer, topics=["transcripts"], group="scorer", stop=stop)
    log.info("stopped")


def run_recorder(settings: Settings, stop: Event) -> None:
    """Records verdicts and dead letters until `stop`."""
    log = get_logger("recorder")
    registry = _registry(settings)
    stream_metrics, metrics = StreamMetrics(registry), RecorderMetrics(registry)
    engine = open_engine(settings.database_url.get_secret_value())
    upgrade(engine)
    salt = salt_of(Database(engine))
    recorder = Recorder(
        Store(engine, intake_of(settings, salt)),
        verdict_topic=settings.topic("verdicts"),
        transcript_topic=settings.topic("transcripts"),
        archivist=archivist_of(settings, salt) if settings.store_conversations else None,
        metrics=metrics,
    )
    log.info("ready", database=engine.url.get_backend_name())
    topics = ["verdicts", "transcripts.dead", "verdicts.dead", "retraining.queue.dead"]
    topics += ["transcripts"] if settings.store_conversations else []
    _run(settings, stream_metrics, recorder, topics=topics, group="recorder", stop=stop, idle=recorder.report)
    log.info("stopped")


def run_correlator(settings: Settings, stop: Event) -> None:
    """Correlates verdicts until `stop`."""
    try:
        from services.correlate import correlate
    except ImportError as error:
        problem = f"the correlator needs the extra 'correlate' ({error.name} is missing)"
        raise ServicesError(f"{problem}: pip install 'plumbline[correlate]'") from error
    registry = _registry(settings)
    require_topics(settings, all_topics(settings))
    budget = settings.flag_budget_share or load_bundle(settings.bundle).manifest.false_positive_budget
    correlate(settings, registry, budget, stop)


def run_prober(settings: Settings, stop: Event) -> None:
    """Sends synthetic transcripts until `stop`."""
    log = get_logger("prober")
    registry = _registry(settings)
    require_topics(settings, all_topics(settings))
    with KafkaSink(settings) as sink, KafkaTail(settings, settings.topic("verdicts")) as tail:
        log.info("ready")
        Prober(settings, sink, tail, ProbeMetrics(registry)).run(stop)
    log.info("stopped")


def run_triage(settings: Settings, stop: Event) -> None:
    """Serves the triage page until `stop`."""
    try:
        from services.triage_process import serve
    except ImportError as error:
        problem = f"the triage service needs the extra 'triage' ({error.name} is missing)"
        raise ServicesError(f"{problem}: pip install 'plumbline[triage]'") from error
    registry = _registry(settings)
    engine = open_engine(settings.database_url.get_secret_value())
    upgrade(engine)
    serve(settings, Database(engine), registry, stop)


def run_retrainer(settings: Settings, stop: Event) -> None:
    """Keeps labels, drives retraining runs and rollouts until `stop`."""
    from services.retrain_process import retrainer_of, start_rollouts

    if find_spec("pyarrow") is None:  # for its children
        raise ServicesError("the retrainer needs the extra 'retrain': pip install 'plumbline[retrain]'")
    log = get_logger("retrainer")
    registry = _registry(settings)
    stream_metrics = StreamMetrics(registry)
    engine = open_engine(settings.database_url.get_secret_value())
    upgrade(engine)
    retrainer = retrainer_of(settings, Database(engine), registry)
    require_topics(settings, all_topics(settings))
    threads = [retrainer.start(stop), start_rollouts(settings, Database(engine), registry, stop)]
    log.info("ready", database=engine.url.get_backend_name())
    try:
        _run(settings, stream_metrics, retrainer.keeper, topics=["retraining.queue"], group="retrainer", stop=stop)
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=30)
    log.info("stopped")


def _registry(settings: Settings) -> CollectorRegistry:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    if settings.metrics_port:
        try:
            serve_metrics(registry, settings.metrics_host, settings.metrics_port)
        except OSError as error:
            raise ServicesError(
                f"/metrics cannot be served on {settings.metrics_host}:{settings.metrics_port} "
                f"(PLUMBLINE_METRICS_PORT): {error.strerror}"
            ) from error
    return registry


def _run(
    settings: Settings,
    metrics: StreamMetrics,
    handler: Handler[Prepared],
    *,
    topics: list[str],
    group: str,
    stop: Event,
    idle: Callable[[], None] = lambda: None,
) -> None:
    names = [settings.topic(topic) for topic in topics]
    require_topics(settings, all_topics(settings))  # those that are written to as well
    log = get_logger(group)

    def on_lost(records: int) -> None:
        metrics.lost.inc(records)
        log.error("records were dropped by Kafka before they were read", records=records)

    with (
        KafkaSink(settings) as sink,
        KafkaSource(settings, topics=names, group=settings.topic(group), on_lost=on_lost) as source,
    ):
        stream = Stream(
            source,
            handler,
            sink,
            batching=Batching(settings.batch_max_records, settings.batch_max_bytes, settings.batch_max_age),
            retry_for=settings.retry_for,
            flood_gate=FloodGate(limit=settings.dead_letter_limit, window=settings.dead_letter_window),
            max_dead_letter_bytes=settings.record_max_bytes,
            metrics=metrics,
            idle=idle,
        )
        stream.run(stop)
