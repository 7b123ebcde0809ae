from __future__ import annotations

import math
from uuid import uuid4

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deploy.registry import Registry
from deploy.registry.errors import ConflictError, UnreachableError, UntrustedError
from deploy.registry.revisions import HINT, Revisions, revision_name
from deploy.registry.store import Store
from deploy.registry.stores import open_store
from tests.registry import CountingStore, revision


def store_with(revisions: int) -> Store:
    store = open_store(f"memory://{uuid4().hex}")
    writer = Revisions(store, "writer")
    for number in range(1, revisions + 1):
        writer.move(revision(number))
    return store


hints = (
    st.none()
    | st.binary(max_size=40)
    | st.integers(-5, 10**40).map(lambda number: str(number).encode())
    | st.integers(0, 80).map(lambda number: str(number).encode())
)


@given(st.integers(0, 60), hints)
@example(60, b"1")
@example(0, b"7")
@example(7, b"999999999999")
@example(7, "٣".encode())
def test_no_hint_can_do_harm(revisions: int, hint: bytes | None) -> None:
    store = CountingStore(store_with(revisions))
    store.replace(HINT, b"" if hint is None else hint)
    newest = Revisions(store, "reader").newest()
    assert (newest.revision if newest else 0) == revisions
    assert store.asked["read"] <= 4 + 2 * math.log2(revisions + 1)
    reader = Revisions(store, "another")
    reader.move(revision(revisions + 1))
    assert Revisions(store, "reader").newest() == revision(revisions + 1)


def test_without_any_hint_the_newest_is_found_all_the_same() -> None:
    store = open_store(f"memory://{uuid4().hex}")
    writer = Revisions(_WithoutHint(store), "writer")
    for number in range(1, 30):
        writer.move(revision(number))
    assert store.read(HINT, 10) is None
    assert Revisions(store, "reader").newest() == revision(29)


class _WithoutHint(CountingStore):
    """Dies, as it were, before every hint."""

    def replace(self, name: str, data: bytes) -> None:
        raise UnreachableError("away")


@given(st.lists(st.integers(0, 7), max_size=12))
def test_a_reader_never_goes_back_and_sees_what_is_newest(steps: list[int]) -> None:
    """`steps`: how many revisions are added between two looks."""
    store = store_with(1)
    reader, writer, number = Revisions(store, "reader"), Revisions(store, "writer"), 1
    for step in steps:
        for _ in range(step):
            number += 1
            writer.move(revision(number))
        store.replace(HINT, b"1")
        newest = reader.newest()
        assert newest is not None
        assert newest.revision == number


@given(st.integers(1, 12), st.integers(1, 40))
def test_a_revision_only_ever_follows_the_newest_one(revisions: int, number: int) -> None:
    store = store_with(revisions)
    for mover in (Revisions(store, "fresh"), _looked(store)):
        if number == revisions + 1:
            continue
        with pytest.raises(ConflictError):
            mover.move(revision(number, actor="late"))
    assert Revisions(store, "reader").newest() == revision(revisions)
    assert [each.revision for each in Revisions(store, "reader").latest(99)] == list(range(revisions, 0, -1))


def _looked(store: Store) -> Revisions:
    revisions = Revisions(store, "looked")
    revisions.newest()
    return revisions


def test_the_same_move_of_the_same_writer_again_has_happened() -> None:
    store = store_with(1)
    one, other = Revisions(store, "one"), Revisions(store, "other")
    one.move(revision(2))
    one.move(revision(2))
    with pytest.raises(ConflictError):
        other.move(revision(2))


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"\xff", b'{"writer": "x", "rollout": {"revision": 2}}'],
)
def test_a_revision_that_cannot_be_read_is_told_of(data: bytes) -> None:
    store = store_with(1)
    store.create(revision_name(2), data)
    with pytest.raises(UntrustedError, match="revision 2 of the rollout cannot be read"):
        Registry(store).rollout()


def test_a_revision_under_another_ones_number_is_told_of() -> None:
    store = store_with(2)
    data = store.read(revision_name(2), 10_000)
    assert data is not None
    store.create(revision_name(3), data)
    with pytest.raises(UntrustedError, match="revision 3 of the rollout is of another number"):
        Registry(store).rollout()


def test_history_ends_where_it_began() -> None:
    reader = Revisions(store_with(5), "reader")
    assert [each.revision for each in reader.latest(3)] == [5, 4, 3]
    assert [each.revision for each in reader.latest(50)] == [5, 4, 3, 2, 1]
    assert reader.latest(0) == []
    assert Revisions(store_with(0), "reader").latest(3) == []
