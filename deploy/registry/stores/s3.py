"""A registry on Amazon S3, or on a store that speaks its protocol and knows conditional writes.

Address and credentials come from the environment as for any client of AWS: `AWS_ENDPOINT_URL_S3`, `AWS_ACCESS_KEY_ID`,
`AWS_SECRET_ACCESS_KEY`, `AWS_PROFILE`, a machine's role.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from botocore.exceptions import BotoCoreError, ClientError
from s3fs import S3FileSystem

from deploy.registry.errors import RegistryError, UnreachableError

_PROBE: Final = "exclusive"
_TRIES: Final = 5
T = TypeVar("T")


def open_s3() -> Any:
    """A client that remembers no listings: others write, too. It gives up soon: whoever polls comes again."""
    retries = {"mode": "standard", "total_max_attempts": 2}
    return S3FileSystem(use_listings_cache=False, skip_instance_cache=True, config_kwargs={"retries": retries})


class S3Store:
    """A `Store`. A put of one object is atomic; `If-None-Match: *` makes it exclusive.

    A store that takes the condition and ignores it would let two writers win. So it is tried out before the first
    file is created: the second of two writes of the same object must be refused.
    """

    def __init__(self, files: Any, root: str) -> None:
        self._files = files
        self._root = root
        self._is_proven = False

    def read(self, name: str, limit: int) -> bytes | None:
        """See `Store`. One request: without a range, s3fs asks for the size first."""
        with _s3_errors():
            try:
                return bytes(self._files.cat_file(self._path(name), start=0, end=limit))
            except FileNotFoundError as error:
                if _code(error) == "NoSuchBucket":
                    raise RegistryError("the registry's bucket is not there") from error
                return None
            except OSError as error:
                if _code(error) in ("InvalidRange", "416"):
                    return b""
                raise

    def create(self, name: str, data: bytes) -> bool:
        """See `Store`."""
        with _s3_errors():
            if not self._is_proven:
                self._prove()
            return self._create(name, data)

    def replace(self, name: str, data: bytes) -> None:
        """See `Store`."""
        with _s3_errors():
            self._files.pipe_file(self._path(name), data)

    def names(self, folder: str) -> list[str]:
        """See `Store`."""
        with _s3_errors():
            try:
                found = self._files.ls(self._path(folder), detail=True, refresh=True)
            except FileNotFoundError:
                return []
            return sorted(each["name"].rsplit("/", 1)[-1] for each in found if each["type"] == "file")

    def _prove(self) -> None:
        if self._create(_PROBE, b"") and self._create(_PROBE, b""):
            raise RegistryError("the store ignores If-None-Match: nothing that is there is safe from being replaced")
        self._is_proven = True

    def _create(self, name: str, data: bytes) -> bool:
        return _not_at_the_same_time(lambda: self._create_once(name, data))

    def _create_once(self, name: str, data: bytes) -> bool:
        try:
            self._files.pipe_file(self._path(name), data, mode="create")
        except FileExistsError:
            return False
        except OSError as error:
            if _code(error) in ("PreconditionFailed", "412"):
                return False
            raise
        return True

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


def _not_at_the_same_time(write: Callable[[], T]) -> T:
    """S3 answers 409 to one of two writes at the same moment, and asks to try again."""
    for _ in range(_TRIES - 1):
        try:
            return write()
        except OSError as error:
            if _code(error) not in ("ConditionalRequestConflict", "409"):
                raise
    return write()


def _code(error: BaseException) -> str:
    """S3's own word for what is wrong; s3fs keeps it as the cause."""
    cause = error.__cause__
    return str(cause.response["Error"].get("Code", "")) if isinstance(cause, ClientError) else ""


@contextmanager
def _s3_errors() -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise RegistryError(f"the registry's store refuses: {_code(error) or 'no permission'}") from error
    except (OSError, BotoCoreError, TimeoutError) as error:
        raise UnreachableError(f"the registry's store: {_code(error) or type(error).__name__}") from error
