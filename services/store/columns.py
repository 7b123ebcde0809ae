"""Kinds of columns that several tables share."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Integer, Text
from sqlalchemy.dialects.postgresql import JSONB


def json_column(*, nullable: bool = False) -> Any:
    """JSON; JSONB on PostgreSQL. None is NULL."""
    return Column(JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql"), nullable=nullable)


def text_column(*, nullable: bool = False, primary_key: bool = False) -> Any:
    """Text of any length."""
    return Column(Text, nullable=nullable, primary_key=primary_key)


def counting_key() -> Any:
    """A primary key that counts up."""
    return Column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)
