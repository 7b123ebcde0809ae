"""From all labels that stand to the parts of a dataset version. Pure, and the same for the same labels in any order."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from retrain.datasets.building import built, frozen
from retrain.datasets.candidate import Candidate, named
from retrain.datasets.consensus import Consensus, consensus
from retrain.datasets.example import Example, Key, Part
from retrain.datasets.inspection import Crowd, inspect
from retrain.datasets.manifest import Dataset
from retrain.datasets.policy import Policy, Reason
from retrain.datasets.reading import Reader
from retrain.datasets.reporting import Findings, version
from retrain.datasets.splits import Before, Cluster, divide
from retrain.datasets.twins import Pair, components, equal, resembling, resembling_of_kind
from retrain.progress import Say
from retrain.queued import QueuedLabel


def assemble(
    labels: Sequence[QueuedLabel],
    previous: Dataset | None,
    policy: Policy,
    *,
    salt: str = "",
    say: Say = lambda _progress, _said: None,
) -> Dataset:
    """The version that follows `previous`, from all labels that stand now.

    What `previous` was made of and is not among `labels` was taken back or erased, and nothing of it is left. Where
    nothing has changed it is `previous` that comes back. `salt` draws parts and keys the digests of phrases.
    """
    rows = {part: {each.key: each for each in previous.parts[part]} if previous else {} for part in Part}
    places = {key: part for part in Part for key in rows[part]}
    found = consensus(labels, {key: frozenset(each.label_ids) for key, each in rows[Part.HELD_OUT].items()})
    held_back = dict(found.held_back)
    say(0.02, f"{len(found.agreed) + len(found.kept)} conversations are decided about")

    candidates = _candidates(found, rows, held_back, say)
    roots = components(len(candidates), _twins(candidates, policy))
    say(0.75, f"{len(set(roots))} clusters of {len(candidates)} conversations")

    crowd = Crowd(len({label.reviewer for label in labels}), len({label.tenant_id for label in labels}))
    inspected = inspect(candidates, roots, places, crowd, policy, salt=salt)
    out = set(inspected.held_back)
    say(0.95, f"{len(out)} conversations are held back")

    clusters = _clusters(candidates, roots, out, {key: row for part in Part for key, row in rows[part].items()}, salt)
    before = Before(places, _seen(labels, previous))
    division = divide(clusters, before, policy, salt=salt)
    reasons = dict(inspected.held_back) | {each.key: Reason.TWIN_OF_HELD_OUT for each in division.twins}
    for each in candidates:
        if each.key in reasons:
            held_back.update((label_id, reasons[each.key]) for label_id in each.example.label_ids)
    names = {each.key: cluster.name for cluster in clusters for each in cluster.members}
    parts: dict[Part, list[Example]] = {part: [] for part in Part}
    for each in candidates:
        if each.key in division.parts:
            row = each.example if each.frozen else each.example.model_copy(update={"cluster": names[each.key]})
            parts[division.parts[each.key]].append(row)
    learnt = {each.key for part in (Part.TRAIN, Part.CALIBRATION) for each in parts[part]}
    findings = Findings(
        inspected.phrases, inspected.dominance, found.contested, len(set(roots)), sum(each.new for each in candidates)
    )
    return version(
        {part: tuple(examples) for part, examples in parts.items()},
        held_back,
        seen=sorted(_digest(key) for key in before.seen | learnt),
        policy=policy,
        previous=previous,
        findings=findings,
    )


def _candidates(
    found: Consensus, rows: Mapping[Part, Mapping[Key, Example]], held_back: dict[str, Reason], say: Say
) -> list[Candidate]:
    """In the order of their conversations. What cannot be read goes to `held_back`."""
    reader = Reader()
    agreed = {each.key: each for each in found.agreed}
    known = {key: row for part in Part for key, row in rows[part].items()}
    candidates = []
    keys = sorted({*agreed, *found.kept})
    for at, key in enumerate(keys, start=1):
        candidate = frozen(known[key], reader) if key in found.kept else built(agreed[key], reader, known.get(key))
        if isinstance(candidate, Candidate):
            candidates.append(candidate)
        else:
            held_back.update((label_id, candidate) for label_id in agreed[key].label_ids)
        if at % 500 == 0:
            say(0.02 + 0.6 * at / len(keys), f"{at} of {len(keys)} conversations read")
    return candidates


def _twins(candidates: Sequence[Candidate], policy: Policy) -> Iterator[Pair]:
    said = [each.said for each in candidates]
    yield from equal([each.reading.exact for each in candidates])
    yield from _of_one_case(candidates)
    yield from resembling(said, policy.alike)
    yield from resembling_of_kind(said, [each.example.fingerprint for each in candidates], policy.alike_in_kind)


def _of_one_case(candidates: Sequence[Candidate]) -> Iterator[Pair]:
    first: dict[str, int] = {}
    for place, each in enumerate(candidates):
        yield from ((first.setdefault(case, place), place) for case in each.example.case_ids)


def _clusters(
    candidates: Sequence[Candidate], roots: Sequence[int], out: set[Key], rows: Mapping[Key, Example], salt: str
) -> list[Cluster]:
    groups: defaultdict[int, list[Candidate]] = defaultdict(list)
    for each, root in zip(candidates, roots, strict=True):
        groups[root].append(each)
    taken = {row.cluster for row in rows.values()}
    return [
        Cluster(
            _name(group, rows, taken, salt),
            frozenset(each.key for each in group),
            tuple(each for each in group if each.key not in out),
        )
        for _, group in sorted(groups.items())
    ]


def _name(group: Sequence[Candidate], rows: Mapping[Key, Example], taken: set[str], salt: str) -> str:
    """As it was called before, by what is held out first; a new one after what was labelled first."""
    frozen_first = sorted((not each.frozen, rows[each.key].cluster) for each in group if each.key in rows)
    if frozen_first:
        return frozen_first[0][1]
    first = min(group, key=lambda each: (each.example.labelled_at, each.example.label_ids))
    name = named(salt, *first.key)
    return name if name not in taken else named(salt, *first.key, "again")


def _seen(labels: Iterable[QueuedLabel], previous: Dataset | None) -> frozenset[Key]:
    """Conversations that an earlier version trains or calibrates on."""
    known = set(previous.manifest.seen) if previous else set()
    return frozenset(key for key in {label.key for label in labels} if _digest(key) in known)


def _digest(key: Key) -> str:
    return hashlib.sha256("".join(f"{len(part)}:{part}" for part in key).encode("utf-8", "surrogatepass")).hexdigest()[
        :16
    ]
