"""`make bench`: how fast, against what, and what bounds it. One run, one machine, ratios first.

(a) end to end through Apache Kafka against the same ONNX sessions alone, (b) against a consumer written in an
afternoon, (c) seconds from produce to recorded verdict, (d) the scorer's memory, (e) detection alone, without Kafka.
Nothing is asserted: it exits 0 when all ran. Two slow cores take a quarter of an hour. Let nothing else run meanwhile.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import comparison
import detection
import latency
import machine
import memory
import report
import rounds
from rich.console import Console
from rounds import Size
from servers import ROOT, BenchError, Place
from workload import events

from deploy.child import LaunchError
from deploy.kafka.local import LocalKafka, missing_tools, resolve_libs
from detectors.bundle import load_bundle
from services.settings import load_settings

_WHOLE = Size(rounds=5, events=160, afternoon_events=44, latency_events=150, memory_events=640)
_QUICK = Size(rounds=1, events=12, afternoon_events=3, latency_events=12, memory_events=20, batch_max_records=2)
_PARTS = "abcde"
Measured = latency.Latency | memory.Memory | detection.Detection


def main() -> None:
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers and folders go as after Ctrl-C
    console = Console() if Console().is_terminal else Console(width=180)
    size = _QUICK if arguments.quick else replace(_WHOLE, rounds=arguments.rounds)
    through_kafka = [part for part in arguments.only if part != "e"]
    if through_kafka and (lacking := missing_tools()):
        raise SystemExit(
            f"the benchmark runs a real Apache Kafka broker, which needs {' and '.join(lacking)}; --only e does without"
        )
    work = ROOT / "var" / "bench"
    work.mkdir(parents=True, exist_ok=True)
    libs = resolve_libs(ROOT / "var" / "kafka") if through_kafka else None
    settings = load_settings(**size.overrides)
    described = machine.describe(settings, load_bundle(settings.bundle).manifest, libs)
    described["size"] = asdict(size)
    alone = None
    if "e" in arguments.only:
        extent = detection.QUICK if arguments.quick else detection.WHOLE
        alone = detection.measure(settings, extent, rounds=size.rounds, data=arguments.data, say=console.print)
    if libs is None:
        _report(described, [], [alone] if alone else [], None, console)
        return
    with tempfile.TemporaryDirectory(dir=work) as folder, LocalKafka(Path(folder) / "kafka", libs) as kafka:
        try:
            place = Place(kafka.bootstrap_servers, Path(folder))
            _measure(place, size, through_kafka, described, alone, console)
        except (BenchError, LaunchError) as error:
            raise SystemExit(f"nothing to report: {error}") from None


def _measure(
    place: Place,
    size: Size,
    parts: list[str],
    described: dict[str, object],
    alone: detection.Detection | None,
    console: Console,
) -> None:
    findings: list[report.Finding] = []
    more: list[Measured] = [alone] if alone else []
    throughput = None
    missing = comparison.missing_packages()
    if "b" in parts and missing:
        parts = [part for part in parts if part != "b"]
        findings.append(report.afternoon_skipped(missing))
    if {"a", "b", "c"} & set(parts):
        throughput = rounds.measure(place, size, parts, say=console.print)
        findings += [report.against_ceiling(throughput)] if "a" in parts else []
        findings += [report.against_afternoon(throughput)] if "b" in parts else []
    if "c" in parts and throughput:
        half = throughput.events_per_second / 2
        settings = place.fresh("latency")
        waited = latency.measure(place, settings, events(size.latency_events, seed=1001), events_per_second=half)
        findings.append(report.latency_finding(waited, settings))
        more.append(waited)
    if "d" in parts:
        held = memory.measure(place, place.fresh("memory", **size.overrides), events(size.memory_events, seed=1002))
        findings.append(report.memory_finding(held))
        more.append(held)
    _report(described, findings, more, throughput, console)


def _report(
    described: dict[str, object],
    findings: list[report.Finding],
    more: list[Measured],
    throughput: rounds.Throughput | None,
    console: Console,
) -> None:
    alone = next((each for each in more if isinstance(each, detection.Detection)), None)
    findings = [*findings, *(report.detection_findings(alone) if alone else [])]
    findings.sort(key=lambda finding: finding.part)
    report.show(console, described, findings)
    path = ROOT / "var" / "bench.json"
    report.write(path, described, findings, throughput, *more)
    console.print(f"all numbers: {path.relative_to(ROOT)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="a few seconds a part, to see that it works: no figures to quote"
    )
    parser.add_argument("--rounds", type=int, default=_WHOLE.rounds, help="of (a), (b) and (e); medians are reported")
    parser.add_argument("--only", type=_parts, default=list(_PARTS), metavar="a,b,c,d,e", help="which parts")
    parser.add_argument("--data", type=Path, help="folder with dev/: labelled windows for (e)")
    return parser.parse_args()


def _parts(text: str) -> list[str]:
    parts = text.split(",")
    if unknown := set(parts) - set(_PARTS):
        raise argparse.ArgumentTypeError(f"no such part: {', '.join(sorted(unknown))}")
    return parts


if __name__ == "__main__":
    main()
