from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.codec.json_bytes import MAX_DEPTH, check_depth, parse, parse_text
from detectors.errors import RecordError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=15,
)


@given(JSON)
def test_json_reads_back_as_it_was_written_escaped_or_not(value: object) -> None:
    assert parse(json.dumps(value).encode()) == value
    assert parse(json.dumps(value, ensure_ascii=False).encode()) == value


@given(st.binary() | st.text(alphabet='[]{}",:0123456789.eE+-ntfu\\ud80 ').map(str.encode))
def test_any_bytes_are_a_value_or_a_record_error(data: bytes) -> None:
    try:
        value = parse(data)
    except RecordError as error:
        value = error.code
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\xff\xfe{}", "not_utf8"),
        (b'"\xed\xa0\x80"', "not_utf8"),
        (b"", "not_json"),
        (b"{} {}", "not_json"),
        (b"'a'", "not_json"),
        (b'"a\nb"', "not_json"),
        (b"[1,]", "not_json"),
        (b"1" * 5_000, "not_json"),
        (b"NaN", "not_finite"),
        (b"[Infinity]", "not_finite"),
        (b'{"a": -Infinity}', "not_finite"),
        (b"1e999", "not_finite"),
        (b"[-1e999]", "not_finite"),
        (b"[" * 100_000, "too_deep"),
    ],
)
def test_what_is_wrong_has_a_code(data: bytes, code: str) -> None:
    with pytest.raises(RecordError) as caught:
        parse(data)
    assert caught.value.code == code


def nested(levels: int, opening: str, closing: str) -> bytes:
    return (opening * levels + "0" + closing * levels).encode()


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_nesting_is_accepted_up_to_the_limit_and_no_further(opening: str, closing: str) -> None:
    per_turn = opening.count("[") + opening.count("{")
    parse(nested(MAX_DEPTH // per_turn, opening, closing))
    with pytest.raises(RecordError) as caught:
        parse(nested(MAX_DEPTH // per_turn + 1, opening, closing))
    assert caught.value.code == "too_deep"


def test_many_brackets_side_by_side_are_not_deep() -> None:
    assert parse(b"[" + b"[]," * 500 + b"[]]") == [[]] * 501


def test_brackets_inside_a_text_do_not_nest() -> None:
    assert parse(json.dumps("[" * 500).encode()) == "[" * 500


@given(st.integers(0, 30), st.integers(0, 30))
def test_depth_counts_the_levels_down_to_the_deepest_value(levels: int, limit: int) -> None:
    value = parse(nested(levels, "[", "]"))
    if levels <= limit:
        check_depth(value, limit)
    else:
        with pytest.raises(RecordError):
            check_depth(value, limit)


def test_lone_surrogates_become_replacement_characters_so_that_offsets_stay() -> None:
    value = parse(rb'{"a\ud800": ["x\udfffy", "\ud83d\ude00", {"b": "\ude00\ud83d"}]}')
    assert value == {"a\ufffd": ["x\ufffdy", "\U0001f600", {"b": "\ufffd\ufffd"}]}


def test_a_byte_order_mark_is_no_part_of_the_json() -> None:
    assert parse(b"\xef\xbb\xbf[1]") == [1]


def test_text_that_was_decoded_elsewhere_is_cleaned_too() -> None:
    assert parse_text('["\\ud800"]') == ["\ufffd"]


@pytest.mark.parametrize(
    "data", [b'"SECRET', b"SECRET", b'{"SECRET": SECRET}', b'{"SECRET" 1}', b'"\\SECRET"', b'"SECRET" "SECRET"']
)
def test_reasons_do_not_quote_the_text(data: bytes) -> None:
    with pytest.raises(RecordError) as caught:
        parse(data)
    assert "SECRET" not in caught.value.reason
    assert "SECRET" not in str(caught.value)
