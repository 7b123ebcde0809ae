"""Versions one after the other: what holds whatever people label, take back and erase."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.taxonomy import LABELS
from retrain.queued import QueuedLabel

pytest.importorskip("pyarrow", reason="pyarrow is missing: install the extra 'retrain'")

from retrain.datasets import Dataset, Example, Part, Policy, Reason
from retrain.datasets.assembly import assemble
from retrain.datasets.example import conversation_digest

pytestmark = pytest.mark.retrain
MakeLabel = Callable[..., QueuedLabel]
Words = Callable[..., str]

POLICY = Policy(
    held_out=0.35,
    calibration=0.3,
    fewest_held_out=2,
    fewest_calibration=1,
    fewest_to_judge=3,
    trigger_clusters=2,
    trigger_chance=1.0,
)
_STEP, _LENGTH = 5, 60


@pytest.fixture(scope="module")
def variant(words: Words) -> Callable[[int, int], str]:
    """Text `at` of a chain: neighbours are twins, those further apart are less and less alike."""

    def of(base: int, at: int) -> str:
        one, other = words(("one", base), _LENGTH).split(), words(("other", base), _LENGTH).split()
        return " ".join(other[: at * _STEP] + one[at * _STEP :])

    return of


def resemblance(one: str, other: str) -> float:
    first, second = ({tuple(text.split()[at : at + 3]) for at in range(_LENGTH - 2)} for text in (one, other))
    return len(first & second) / len(first | second)


STEPS = st.lists(
    st.tuples(
        st.lists(  # new conversations: text, label, reviewer, tenant, what it is a case with
            st.tuples(
                st.integers(0, 3),
                st.integers(0, 8),
                st.booleans(),
                st.sampled_from(["deception", "sabotage"]),
                st.sampled_from(["ann", "ben", "cem"]),
                st.sampled_from(["t", "t", "u"]),
                st.none() | st.integers(0, 2),
            ),
            max_size=9,
        ),
        st.sets(st.integers(0, 30), max_size=3),  # labels that are taken back
        st.lists(st.tuples(st.integers(0, 30), st.booleans(), st.sampled_from(["ann", "dan"])), max_size=2),
    ),
    min_size=1,
    max_size=3,
)


def history(
    steps: Sequence[Any], make_label: MakeLabel, variant: Callable[[int, int], str]
) -> Iterable[list[QueuedLabel]]:
    """All labels that stand after each step."""
    standing: list[QueuedLabel] = []
    made = 0
    for fresh, taken_back, again in steps:
        standing = [label for at, label in enumerate(standing) if at not in taken_back]
        for base, at, confirmed, category, by, tenant, case in fresh:
            made += 1
            name = f"c{made}"
            standing.append(
                make_label(
                    name,
                    f"go on with it {base}",
                    variant(base, at),
                    by=by,
                    number=made,
                    tenant_id=tenant,
                    disposition="confirmed" if confirmed else "dismissed",
                    category=category,
                    **({} if case is None else {"case_id": make_label(f"case{case}").case_id}),
                )
            )
        for at, confirmed, by in again:
            if at < len(standing):
                made += 1
                one = standing[at]
                changes = {"label_id": make_label(f"again{made}").label_id, "reviewer": by}
                changes |= {"disposition": "confirmed" if confirmed else "dismissed"}
                standing.append(one.model_copy(update=changes))
        yield list(standing)


def rows(dataset: Dataset, *parts: Part) -> dict[tuple[str, str], Example]:
    return {each.key: each for part in parts for each in dataset.parts[part]}


def text_of(label: QueuedLabel) -> str:
    return str(label.messages).split('"')[-2]


def twins(labels: Sequence[QueuedLabel]) -> list[set[tuple[str, str]]]:
    """Conversations that hang together, by what their texts really are: the slow way."""
    texts = {label.key: text_of(label) for label in labels}
    cases = defaultdict(set)
    for label in labels:
        cases[label.case_id].add(label.key)
    groups = [{key} for key in texts]
    pairs = [pair for pair in combinations(texts, 2) if resemblance(texts[pair[0]], texts[pair[1]]) >= 0.75]
    for linked in (*map(set, pairs), *cases.values()):
        together = [group for group in groups if group & linked]
        groups = [group for group in groups if not group & linked] + [set().union(*together)]
    return groups


@settings(max_examples=20, deadline=None)
@given(STEPS)
def test_over_versions_no_twins_are_parted_nothing_trained_on_is_held_out_and_what_is_held_out_is_frozen(
    make_label: MakeLabel, variant: Callable[[int, int], str], steps: Sequence[Any]
) -> None:
    previous: Dataset | None = None
    learnt: set[tuple[str, str]] = set()
    for labels in history(steps, make_label, variant):
        dataset = assemble(labels, previous, POLICY)
        held_out, others = rows(dataset, Part.HELD_OUT), rows(dataset, Part.TRAIN, Part.CALIBRATION)
        divided = set(
            dataset.manifest.held_back.get(Reason.DISAGREEMENT, ())
        )  # these are nothing yet, and link nothing
        for group in twins([label for label in labels if str(label.label_id) not in divided]):
            assert not (group & held_out.keys() and group & others.keys())
            assert not (group & rows(dataset, Part.TRAIN).keys() and group & rows(dataset, Part.CALIBRATION).keys())
        clusters = [{each.cluster for each in examples.values()} for examples in (held_out, others)]
        assert not clusters[0] & clusters[1]

        placed = [label for mine in dataset.manifest.labels.values() for label in mine]
        placed += [label for mine in dataset.manifest.held_back.values() for label in mine]
        assert sorted(placed) == sorted({str(label.label_id) for label in labels})
        listed = [label for each in (*held_out.values(), *others.values()) for label in each.label_ids]
        assert sorted(listed) == sorted(label for mine in dataset.manifest.labels.values() for label in mine)

        learnt = {key for key in learnt | others.keys() if key in {label.key for label in labels}}
        assert not learnt & held_out.keys()
        if previous is not None:
            latest = {(label.key, label.reviewer): str(label.label_id) for label in sorted(labels, key=_age)}
            stand = set(latest.values())
            for key, row in rows(previous, Part.HELD_OUT).items():
                if set(row.label_ids) <= stand:
                    assert held_out[key].digest == row.digest
                assert key not in others
        previous = dataset


def _age(label: QueuedLabel) -> tuple[Any, str]:
    return label.labelled_at, str(label.label_id)


@settings(max_examples=8, deadline=None)
@given(STEPS, st.randoms(use_true_random=False))
def test_the_same_labels_in_any_order_are_the_same_version(
    make_label: MakeLabel, variant: Callable[[int, int], str], steps: Sequence[Any], rng: Any
) -> None:
    previous: Dataset | None = None
    for labels in history(steps, make_label, variant):
        dataset = assemble(labels, previous, POLICY, salt="s")
        rng.shuffle(labels)
        again = assemble([*labels, *labels[:2]], previous, POLICY, salt="s")
        assert (again.name, again.manifest, again.parts) == (dataset.name, dataset.manifest, dataset.parts)
        assert assemble(labels, dataset, POLICY, salt="s") is dataset  # nothing has changed
        previous = dataset


def many(make_label: MakeLabel, count: int, *, start: int = 0, **changes: Any) -> list[QueuedLabel]:
    return [make_label(f"c{n}", number=n, **changes) for n in range(start, start + count)]


def test_each_category_and_disposition_has_its_share_in_every_part(make_label: MakeLabel) -> None:
    labels = many(make_label, 60) + many(make_label, 60, start=100, disposition="dismissed", category="sabotage")
    labels += many(make_label, 9, start=200, category="coercion")
    labels += many(make_label, 2, start=300, category="goal_drift")
    dataset = assemble(labels, None, Policy(fewest_held_out=6, fewest_calibration=3))
    sizes = {part: [each.category for each in dataset.parts[part]] for part in Part}
    for category, fewest in (("deception", (6, 3)), ("sabotage", (6, 3)), ("coercion", (3, 3)), ("goal_drift", (0, 0))):
        counts = [sizes[part].count(category) for part in (Part.HELD_OUT, Part.CALIBRATION, Part.TRAIN)]
        assert all(have >= least for have, least in zip(counts, fewest, strict=False))
        assert 3 * counts[2] >= sum(counts)
    assert sum(map(len, sizes.values())) == len(labels)


def test_parts_hang_on_the_salt_and_hardly_on_the_versions_before(make_label: MakeLabel) -> None:
    labels = many(make_label, 120)
    grown = assemble(labels, assemble(labels[:60], None, Policy()), Policy())
    at_once = assemble(labels, None, Policy())
    other = assemble(labels, None, Policy(), salt="other")
    held_out = [rows(each, Part.HELD_OUT).keys() for each in (grown, at_once, other)]
    assert len(held_out[0] ^ held_out[1]) <= 4
    assert len(held_out[1] ^ held_out[2]) > 10


def test_a_new_twin_of_what_is_held_out_is_held_out_and_many_are_not(make_label: MakeLabel, words: Words) -> None:
    labels = many(make_label, 30)
    first = assemble(labels, None, Policy(fewest_to_judge=1000))
    known = first.parts[Part.HELD_OUT][0]
    said = next(text_of(label) for label in labels if label.key == known.key)
    copies = [make_label(f"n{n}", f"hello {n}", f"{said} {words(n, 3)}", number=100 + n) for n in range(8)]
    then = assemble(labels + copies, first, Policy(fewest_to_judge=1000, most_held_out_twins=3))
    new = [each for each in then.parts[Part.HELD_OUT] if each.conversation_id.startswith("n")]
    assert len(new) == 3
    assert {each.cluster for each in new} == {known.cluster}
    assert then.report["held_back"] == {"twin_of_held_out": 5}


def test_a_bridge_takes_what_was_trained_on_out_of_training(
    make_label: MakeLabel, variant: Callable[[int, int], str]
) -> None:
    far = [make_label(name, "go", variant(9, at), number=at) for name, at in (("near", 0), ("far", 4))]
    assert resemblance(variant(9, 0), variant(9, 4)) < 0.5
    labels = many(make_label, 20, start=50) + far
    for salt in map(str, range(100)):  # one of them held out, the other trained on
        first = assemble(labels, None, Policy(), salt=salt)
        parts = {each.conversation_id: part for part in Part for each in first.parts[part]}
        if {parts["near"], parts["far"]} == {Part.HELD_OUT, Part.TRAIN}:
            break
    bridge = make_label("bridge", "go", variant(9, 2), number=9)
    then = assemble([*labels, bridge], first, Policy(), salt=salt)
    trained = next(name for name in ("near", "far") if parts[name] is Part.TRAIN)
    where = {each.conversation_id: part for part in Part for each in then.parts[part]}
    assert where["bridge"] is Part.HELD_OUT
    assert trained not in where
    assert then.report["held_back"] == {"twin_of_held_out": 1}
    # Without the bridge they hang together no more: what was trained on may be again, and is never held out.
    last = assemble(labels, then, Policy(), salt=salt)
    assert {each.conversation_id: part for part in Part for each in last.parts[part]}[trained] is Part.TRAIN


def test_what_any_version_has_trained_on_is_never_held_out(make_label: MakeLabel) -> None:
    labels, trained_on = many(make_label, 20), many(make_label, 20, start=100)
    first = assemble(labels, None, Policy())
    seen = (*first.manifest.seen, *(conversation_digest(label.key) for label in trained_on))
    remembers = Dataset(first.manifest.model_copy(update={"seen": seen}), first.parts)
    for previous, held_out in ((first, True), (remembers, False)):
        then = assemble(labels + trained_on, previous, Policy(held_out=0.8))
        assert bool({label.key for label in trained_on} & rows(then, Part.HELD_OUT).keys()) is held_out


def test_a_case_hangs_together_and_a_fingerprint_where_it_is_alike(
    make_label: MakeLabel, variant: Callable[[int, int], str], words: Words
) -> None:
    case = make_label("x").case_id
    same_case = [make_label(f"k{n}", case_id=case) for n in range(3)]
    alike = [make_label(f"f{n}", "go", variant(5, at), fingerprint="f" * 16) for n, at in enumerate((0, 4))]
    unlike = [make_label(f"u{n}", fingerprint="f" * 16) for n in range(3)]
    assert 0.3 < resemblance(variant(5, 0), variant(5, 4)) < 0.6
    dataset = assemble([*same_case, *alike, *unlike], None, Policy(held_out=0, calibration=0))
    clusters = {each.conversation_id: each.cluster for each in dataset.parts[Part.TRAIN]}
    assert len({clusters[f"k{n}"] for n in range(3)}) == 1
    assert clusters["f0"] == clusters["f1"]
    assert len({clusters[f"u{n}"] for n in range(3)} | {clusters["f0"]}) == 4


def test_copies_count_once_and_numbers_do_not_make_another_text(make_label: MakeLabel, words: Words) -> None:
    said = words("said")
    copies = [make_label(f"c{n}", "Order it", f"{said}  ok.") for n in range(4)]
    numbered = [make_label(f"n{n}", "Order it", f"{said} order {n}") for n in range(2)]
    dataset = assemble([*copies, *numbered], None, Policy(held_out=0, calibration=0))
    assert [each.conversation_id for each in dataset.parts[Part.TRAIN]] == ["c0", "n0", "n1"]
    assert len({each.cluster for each in dataset.parts[Part.TRAIN]}) == 1
    assert dataset.report["held_back"] == {"duplicate": 3}


def test_what_nobody_recorded_or_can_read_is_held_back_with_its_reason(make_label: MakeLabel) -> None:
    labels = [
        make_label("none", messages=None),
        make_label("silent", messages=[{"role": "user", "content": "anybody there?"}]),
        make_label("odd", messages=[{"content": "no role"}]),
        make_label("broken", messages="[{"),
        make_label("fine"),
    ]
    dataset = assemble(labels, None, Policy())
    assert dataset.report["held_back"] == {"no_messages": 2, "unreadable": 2}
    assert [each.conversation_id for each in dataset.parts[Part.TRAIN]] == ["fine"]


def test_a_changed_mind_about_a_held_out_conversation_stays_held_out(make_label: MakeLabel) -> None:
    labels = many(make_label, 30)
    first = assemble(labels, None, Policy())
    row = first.parts[Part.HELD_OUT][0]
    others = [label for label in labels if label.key != row.key]
    changed = make_label(row.conversation_id, number=500, disposition="dismissed")
    then = assemble([*others, changed], first, Policy())
    now = rows(then, Part.HELD_OUT)[row.key]
    assert (now.disposition, now.cluster) == ("dismissed", row.cluster)
    assert then.report["gone"] == 1
    contested = [make_label(row.conversation_id, by=by, number=600, disposition="dismissed") for by in ("ben", "cem")]
    kept = assemble([*labels, *contested], first, Policy())
    assert rows(kept, Part.HELD_OUT)[row.key] == row
    assert kept.report["contested"] == 1
    assert kept.report["held_back"] == {"frozen": 2}


def test_what_is_not_given_any_more_is_gone_from_every_part(make_label: MakeLabel) -> None:
    labels = many(make_label, 30)
    first = assemble(labels, None, Policy())
    gone = {first.parts[part][0].key for part in Part}
    then = assemble([label for label in labels if label.key not in gone], first, Policy())
    assert not gone & rows(then, *Part).keys()
    assert then.report["gone"] == 3
    assert first.name == then.manifest.parent


def test_rows_say_where_they_come_from_and_become_what_training_reads(make_label: MakeLabel) -> None:
    span = {"message_id": "m", "message_index": 1, "part_index": 0, "start": 0, "end": 3}
    by_ann = make_label("a", spans=[span], corrected_answer="No.", fingerprint="f", agent={"name": "bot"})
    by_ben = make_label("a", by="ben", number=4, model={"provider": "p", "name": "m", "version": "3"}, source="second")
    refused = make_label("b", category="over_refusal")
    fine = make_label("c", disposition="dismissed", spans=[span])
    dataset = assemble([by_ann, by_ben, refused, fine], None, Policy(held_out=0, calibration=0))
    a, b, c = dataset.parts[Part.TRAIN]
    assert a.reviewers == ("ann", "ben")
    assert (a.source, a.model, a.model_version, a.corrected_answer) == ("second", "m", "3", "No.")
    assert (a.labelled_at, a.verdict_id) == (by_ben.labelled_at, str(by_ben.verdict_id))
    shown = [
        {label for label, value in zip(LABELS, each.labelled().labels, strict=True) if value} for each in (a, b, c)
    ]
    assert shown == [{"deception", "misalignment"}, {"over_refusal"}, set()]
    assert (a.labelled().turns, b.labelled().turns, c.labelled().turns) == (frozenset({1}), None, None)
    assert a.labelled().group == a.cluster
    assert a.labelled().source == "deployment"
    assert dataset.manifest.sources["deployment"]["tenants"] == {"t": 3}  # type: ignore[index, call-overload]
    assert sum(each.examples for each in dataset.manifest.counts) == 3
