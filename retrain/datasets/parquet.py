"""Examples as Parquet, with a schema of their own: what is empty keeps its type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from retrain.datasets.errors import DatasetError
from retrain.datasets.example import Example

_LISTS: Final = frozenset({"label_ids", "reviewers", "case_ids"})
_OPTIONAL: Final = frozenset(
    {"corrected_answer", "fingerprint", "agent", "agent_version", "model_provider", "model", "model_version"}
)
_ROWS_OF_A_GROUP: Final = 2_000


def _field(name: str) -> Any:
    kind = pa.list_(pa.string()) if name in _LISTS else pa.string()
    kind = pa.timestamp("us", tz="UTC") if name == "labelled_at" else kind
    return pa.field(name, kind, nullable=name in _OPTIONAL)


SCHEMA: Final = pa.schema([_field(name) for name in Example.model_fields])


def encoded(examples: Sequence[Example]) -> bytes:
    """One file. The same examples and version of Arrow give the same bytes."""
    table = pa.Table.from_pylist([dict(each) for each in examples], schema=SCHEMA)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", row_group_size=_ROWS_OF_A_GROUP)
    return bytes(sink.getvalue().to_pybytes())


def decoded(data: bytes) -> tuple[Example, ...]:
    """The examples of one file. Raises `DatasetError`."""
    try:
        table = pq.read_table(pa.BufferReader(data))
        if not table.schema.equals(SCHEMA):
            raise DatasetError("the columns are not those of a dataset version")
        return tuple(Example.model_validate(row) for batch in table.to_batches() for row in batch.to_pylist())
    except (pa.ArrowException, OSError):
        raise DatasetError("not a Parquet file that can be read") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise DatasetError(f"{first['loc'][0]}: {first['type']}") from None
