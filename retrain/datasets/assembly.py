"""From all labels that stand to the parts of a dataset version. Pure, and the same for the same labels in any order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

from retrain.datasets.building import built, frozen
from retrain.datasets.candidate import Candidate, named
from retrain.datasets.consensus import Consensus, consensus
from retrain.datasets.example import Example, Key, Part, conversation_digest
from retrain.datasets.inspection import Crowd, inspect
from retrain.datasets.manifest import Dataset
from retrain.datasets.past import Past
from retrain.datasets.policy import Policy, Reason
from retrain.datasets.reading import Reader
from retrain.datasets.reporting import Findings, version
from retrain.datasets.splits import Cluster, Division, divide
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
    if previous and previous.manifest.policy == policy and previous.manifest.given() == _ids(labels):
        return previous
    past = Past.of(previous, labels)
    found = consensus(labels, past.held_out)
    held_back = dict(found.held_back)
    say(0.02, f"{len(found.agreed) + len(found.kept)} conversations are decided about")

    candidates = _candidates(found, past, held_back, say)
    roots = components(len(candidates), _twins(candidates, policy))
    say(0.75, f"{len(set(roots))} clusters of {len(candidates)} conversations")

    crowd = Crowd(len({label.reviewer for label in labels}), len({label.tenant_id for label in labels}))
    inspected = inspect(candidates, roots, past.parts, crowd, policy, salt=salt)
    say(0.95, f"{len(inspected.held_back)} conversations are held back")

    clusters = _clusters(candidates, roots, inspected.held_back, past, salt)
    division = divide(clusters, past, policy, salt=salt)
    reasons = dict(inspected.held_back) | {each.key: Reason.TWIN_OF_HELD_OUT for each in division.twins}
    for each in candidates:
        if each.key in reasons:
            held_back.update((label_id, reasons[each.key]) for label_id in each.example.label_ids)
    parts = _parts(clusters, division)
    learnt = past.seen.union(each.key for part in (Part.TRAIN, Part.CALIBRATION) for each in parts[part])
    return version(
        parts,
        held_back,
        seen=map(conversation_digest, learnt),
        policy=policy,
        previous=previous,
        findings=Findings(
            inspected.phrases,
            inspected.dominance,
            found.contested,
            len(clusters),
            sum(each.new for each in candidates),
        ),
    )


def _ids(labels: Iterable[QueuedLabel]) -> frozenset[str]:
    return frozenset(str(label.label_id) for label in labels)


def _candidates(found: Consensus, past: Past, held_back: dict[str, Reason], say: Say) -> list[Candidate]:
    """In the order of their conversations. What cannot be read goes to `held_back`."""
    reader = Reader()
    agreed = {each.key: each for each in found.agreed}
    candidates = []
    keys = sorted({*agreed, *found.kept})
    for at, key in enumerate(keys, start=1):
        before = past.rows.get(key)
        if at % 500 == 0:
            say(0.02 + 0.6 * at / len(keys), f"{at} of {len(keys)} conversations read")
        if before is not None and key in found.kept:
            candidates.append(frozen(before, reader))
            continue
        candidate = built(agreed[key], reader, before, past.waited)
        if isinstance(candidate, Candidate):
            candidates.append(candidate)
        else:
            held_back.update((label_id, candidate) for label_id in agreed[key].label_ids)
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
    candidates: Sequence[Candidate], roots: Sequence[int], out: Container[Key], past: Past, salt: str
) -> list[Cluster]:
    """In the order of their first conversations; `out` are held back, and hang together with the others."""
    groups: defaultdict[int, list[Candidate]] = defaultdict(list)
    for each, root in zip(candidates, roots, strict=True):
        groups[root].append(each)
    taken = {row.cluster for row in past.rows.values()}
    return [
        Cluster(
            _name(group, past.rows, taken, salt),
            frozenset(each.key for each in group),
            tuple(each for each in group if each.key not in out),
        )
        for _, group in sorted(groups.items())
    ]


def _name(group: Sequence[Candidate], rows: Mapping[Key, Example], taken: set[str], salt: str) -> str:
    """As it was called before, by what is held out first; a new one after what was labelled first."""
    were = sorted((not each.frozen, rows[each.key].cluster) for each in group if each.key in rows)
    if were:
        return were[0][1]
    first = min(group, key=lambda each: (each.example.labelled_at, each.example.label_ids))
    name = named(salt, *first.key)
    return name if name not in taken else named(salt, *first.key, "again")


def _parts(clusters: Iterable[Cluster], division: Division) -> dict[Part, tuple[Example, ...]]:
    """Examples in the order of their conversations, under the names of their clusters; frozen ones are as they were."""
    rows: dict[Part, list[Example]] = {part: [] for part in Part}
    for cluster in clusters:
        for each in cluster.members:
            if each.key in division.parts:
                named_so = each.example if each.frozen else each.example.model_copy(update={"cluster": cluster.name})
                rows[division.parts[each.key]].append(named_so)
    return {part: tuple(sorted(examples, key=lambda each: each.key)) for part, examples in rows.items()}
