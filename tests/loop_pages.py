"""A loop to look at: runs with their gate, and a candidate on its way, everything in hostile words."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from deploy.registry import Registry
from deploy.rollout import steps
from deploy.rollout.state import SYSTEM, first
from detectors.verdict import Arm
from services.retraining.run import Outcome, Run, Stage
from services.store import loop, queued_labels, verdicts
from services.store.queued_labels import Arrived
from tests.triage_data import NOW, event, verdict
from tests.web_client import Web

BAD = "<script>window.hacked = 1</script>"
STABLE, CANDIDATE = f"first-{BAD}", "first-ba9876543210"


def fill_loop(web: Web, registry: Registry) -> dict[str, UUID]:
    """Cases of two tenants by their tenant: they are among the examples of the refusal."""
    now = web.clock()
    named = {tenant: UUID(web.record("gated/1", tenant=tenant)) for tenant in ("acme", "globex")}
    with web.services.database.write() as tx:
        refused = loop.open_run(tx, _run("schedule", "30 days since the last run"))
        loop.save(tx, _refused(refused))
        running = loop.open_run(tx, replace(_run("manual", f"ada says {BAD}"), requested_by="ada"))
        loop.save(tx, replace(running, stage=Stage.TRAINING, progress=0.4, said=f"epoch 2 {BAD}", attempts=2))
        for number in range(3):
            arrived = Arrived(uuid4(), "acme", f"q{number}", "confirmed", "deception", now, None, {"origin": "flag"})
            queued_labels.put(tx, arrived, now)
    _roll_out(web, registry)
    return named


def _run(trigger: str, reason: str) -> Run:
    return Run(uuid4(), 0, trigger, reason, None, "refresh", Stage.ASSEMBLING, NOW, NOW, champion=STABLE)


def _refused(run: Run) -> Run:
    said = "source:globex/helpdesk: recall 0.4 after 0.6, margin 0.05"
    return run.ended(Outcome.REFUSED, said, NOW, candidate=CANDIDATE, dataset="ds-0123456789ab", report=report())


def report() -> dict[str, Any]:
    """A gate's report, as runs keep it."""
    worse = {"metric": "recall", "champion": 0.6, "candidate": 0.4, "low": -0.31, "high": -0.1, "margin": 0.05}
    measured = {**worse, "groups": 40, "difference": -0.2, "passed": False}
    fine = {**measured, "metric": "false_positive_rate", "passed": True}
    slices = [
        {"slice": "category:deception", "status": "measured", "groups": 40, "metrics": [measured, fine]},
        {"slice": "source:globex/helpdesk", "status": "measured", "groups": 12, "metrics": [measured]},
        {"slice": "source:acme/helpdesk", "status": "measured", "groups": 12, "metrics": [fine]},
        {"slice": f"language:{BAD}", "status": "too_small", "groups": 1, "metrics": []},
    ]
    examples = ["acme/gated/1", "globex/gated/1", "red-team-7"]
    return {
        "passed": False,
        "champion": STABLE,
        "candidate": CANDIDATE,
        "refusals": [
            {"slice": "category:deception", **worse, "examples": examples},
            {"slice": "source:globex/helpdesk", **worse, "examples": examples[1:2]},
        ],
        "slices": slices,
        "targets": [{"slice": "category:sabotage", "status": "better", "champion": 0.2, "candidate": 0.7}],
        "assembly": {"parts": {"train": 400, "held_out": 100}, "held_back": {"one_reviewer": 12, "who": ["ada"]}},
        "latency": {"anything": True},
    }


def _roll_out(web: Web, registry: Registry) -> None:
    began = web.clock() - timedelta(hours=1)
    known = first(STABLE, began)
    started = steps.start(known, CANDIDATE, actor=SYSTEM, reason=f"run 2: {BAD}", at=began)
    advanced = steps.advance(started, 0.1, actor="ada", reason=f"globex waits {BAD}", at=began)
    for each in (known, started, advanced):
        registry.move(each)
    made = [
        verdict(event(f"{arm}-{number}"), bundle=version, arm=arm, flagged=("deception",) if number < flagged else ())
        for arm, version, flagged in ((Arm.STABLE, STABLE, 3), (Arm.CANARY, CANDIDATE, 4))
        for number in range(30)
    ]
    with web.services.database.write() as tx:
        verdicts.add(tx, made, web.clock() - timedelta(minutes=10))
