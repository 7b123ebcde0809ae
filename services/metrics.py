"""Every metric of every process. Label values are from small fixed sets: never tenants, conversations or content."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class StreamMetrics:
    """What every consumer of a topic reports."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # Records that were delivered and committed, by what became of them: all that was consumed.
        self.records = Counter("plumbline_records", "Records handled", ["outcome"], registry=registry)
        # Records that Kafka dropped before they were read: never scored, so any increase is worth a page.
        self.lost = Counter("plumbline_lost_records", "Records dropped by Kafka unread", registry=registry)
        # How long each step of a batch takes: prepare (in its own thread), complete, deliver, commit.
        self.step_seconds = Histogram(
            "plumbline_batch_step_seconds",
            "Seconds in each step of a batch",
            ["step"],
            buckets=_SECONDS,
            registry=registry,
        )
        # How full batches are.
        self.batch_records = Histogram(
            "plumbline_batch_records",
            "Records in a batch",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
            registry=registry,
        )
        # Seconds from a record's Kafka timestamp to its commit: waiting in the topic included.
        self.record_age_seconds = Histogram(
            "plumbline_record_age_seconds", "Age of records when done with", buckets=_SECONDS, registry=registry
        )
        # Attempts that failed because a broker or database was away.
        self.retries = Counter("plumbline_retries", "Failed attempts that were retried", ["step"], registry=registry)
        # Share of dead letters among the latest records; at PLUMBLINE_DEAD_LETTER_LIMIT the service stops.
        self.dead_letter_share = Gauge("plumbline_dead_letter_share", "Share of recent dead letters", registry=registry)
        # Dead letters by the codec's reason code.
        self.dead_letters = Counter(
            "plumbline_dead_letters", "Records that cannot be read", ["code"], registry=registry
        )


class ScorerMetrics:
    """What the scorer reports besides."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # Verdicts by status: scored, partial, unscored.
        self.verdicts = Counter("plumbline_verdicts", "Verdicts given", ["status"], registry=registry)
        # Flags raised by label. A verdict may carry several.
        self.flags = Counter("plumbline_flags", "Flags raised", ["label"], registry=registry)
        # Windows by how far they went: screened (all), encoded (past the screen), audited (stopped by the screen, drawn
        # for audit), missed (audited, and the encoder alone would have flagged them: what the screen costs).
        self.windows = Counter("plumbline_windows", "Windows scored", ["stage"], registry=registry)
        # 1 for labels that the loaded bundle was trained for, 0 for those it cannot see.
        self.covered = Gauge(
            "plumbline_label_covered", "Whether the bundle covers a label", ["label"], registry=registry
        )
        # The loaded bundle, as a label of a constant 1.
        self.bundle = Gauge("plumbline_bundle_info", "Loaded bundle", ["version", "provider"], registry=registry)


class RecorderMetrics:
    """What the recorder reports besides."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # Verdicts read and safely in the database, by status; `known` are those that were there before.
        self.recorded = Counter("plumbline_recorded_verdicts", "Verdicts recorded", ["status"], registry=registry)
        self.known = Counter("plumbline_known_verdicts", "Verdicts recorded before", registry=registry)


def serve_metrics(registry: CollectorRegistry, host: str, port: int) -> None:
    """Serves `/metrics` in a thread until the process ends. Raises `OSError` where the port is taken."""
    start_http_server(port, addr=host, registry=registry)
