"""Where a registry can be: one adapter a kind of store, all under the same contract tests."""

from __future__ import annotations

from fsspec.core import strip_protocol
from fsspec.utils import get_protocol

from deploy.registry.errors import RegistryError
from deploy.registry.store import Store


def open_store(url: str) -> Store:
    """A folder's path, `file://`, `s3://bucket/prefix` (extra `s3`) or `memory://name`. Nothing is asked of it yet."""
    kind = get_protocol(url)
    if kind in ("file", "local"):
        from deploy.registry.stores.local import LocalStore

        return LocalStore(strip_protocol(url))
    if kind == "memory":
        from deploy.registry.stores.memory import MemoryStore

        return MemoryStore(strip_protocol(url))
    if kind in ("s3", "s3a"):
        return _s3(strip_protocol(url))
    raise RegistryError("a registry is a folder, s3:// or memory://: others may not create files exclusively")


def _s3(place: str) -> Store:
    try:
        from deploy.registry.stores.s3 import S3Store, open_s3
    except ImportError:
        raise RegistryError("a registry on s3:// needs the extra 's3': pip install 'plumbline[s3]'") from None
    return S3Store(open_s3(), place)
