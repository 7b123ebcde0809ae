"""A throw-away PostgreSQL server on this machine, for tests and CI; nothing in it is meant to survive."""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from datetime import timedelta
from pathlib import Path
from pwd import getpwnam, struct_passwd
from types import TracebackType
from typing import Self
from urllib.parse import quote

from deploy.child import Child, LaunchError, free_port

_USER = "plumbline"
_FIRST_DATABASE = "postgres"
_TOOLS = ("initdb", "postgres", "createdb")
_UNPRIVILEGED = ("postgres", "nobody")
_NOTHING_DURABLE = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


def missing_tools() -> list[str]:
    """What this machine lacks to run `LocalPostgres`; empty when it can."""
    return [name for name in _TOOLS if _find(name) is None]


class LocalPostgres:
    """One PostgreSQL server on 127.0.0.1 with a generated password, and no promise to keep data across a crash.

    PostgreSQL refuses to run as root. For root it runs as `postgres`, or else `nobody`, who must be able to reach
    `data`: a folder below pytest's `tmp_path` is closed to them, the default (a temporary folder, removed by
    `stop`) is open.
    """

    def __init__(self, data: Path | None = None) -> None:
        """Keep the cluster in `data`, which must be absent or empty."""
        self._given = data
        self._data: Path | None = None
        self._port = free_port()
        self._password = secrets.token_urlsafe(24)
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """The SQLAlchemy address of the database that every cluster starts with."""
        return self._url(_FIRST_DATABASE)

    def start(self) -> None:
        """Return when the server takes connections; raises `LaunchError`. Does nothing while it runs."""
        if self._child is not None and self._child.running():
            return
        account = _account()
        if self._data is None:
            self._data = self._make_cluster(account)
        settings = [f"port={self._port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", *_NOTHING_DURABLE]
        argv = [_tool("postgres"), "-D", str(self._data), *(part for setting in settings for part in ("-c", setting))]
        self._child = Child(argv, self._data / "server.log", cwd=self._data, account=account, orphaned=signal.SIGQUIT)
        self._child.wait_until(self._ready, timedelta(seconds=60))

    def create_database(self, name: str, *, template: str = "template0") -> str:
        """Create an empty database, or a copy of `template`, and return its SQLAlchemy address."""
        where = ["--host=127.0.0.1", f"--port={self._port}", f"--username={_USER}", "--no-password"]
        what = [f"--maintenance-db={_FIRST_DATABASE}", f"--template={template}"]
        _run([_tool("createdb"), *where, *what, "--", name], self._password)
        return self._url(name)

    def stop(self) -> None:
        """End the server, cutting open connections, and remove its data when the folder was its own."""
        if self._child is not None:
            ways = (signal.SIGINT, timedelta(seconds=10)), (signal.SIGQUIT, timedelta(seconds=5))
            self._child.end(ways)
            self._child = None
        if self._given is None and self._data is not None:
            shutil.rmtree(self._data)
            self._data = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _url(self, database: str) -> str:
        return f"postgresql+psycopg://{_USER}:{self._password}@127.0.0.1:{self._port}/{quote(database, safe='')}"

    def _ready(self) -> bool:
        return self._child is not None and self._child.logged("database system is ready to accept connections")

    def _make_cluster(self, account: struct_passwd | None) -> Path:
        data = self._given or Path(tempfile.mkdtemp(prefix="plumbline-postgres-"))
        data.mkdir(parents=True, exist_ok=True)
        password = data.with_name(f"{data.name}.password")
        try:
            password.touch(mode=0o600)
            password.write_text(self._password)
            if account is not None:
                os.chown(data, account.pw_uid, account.pw_gid)
                os.chown(password, account.pw_uid, account.pw_gid)
            how = [f"--username={_USER}", "--auth=scram-sha-256", f"--pwfile={password}"]
            what = ["--encoding=UTF8", "--locale=C", "--no-sync"]
            _run([_tool("initdb"), "-D", str(data), *how, *what], account=account, cwd=data)
        finally:
            password.unlink()
        return data


def _account() -> struct_passwd | None:
    """The account to run the server as: None for our own, another for root. Raises `LaunchError` when root has none."""
    if os.geteuid() != 0:
        return None
    for name in _UNPRIVILEGED:
        try:
            return getpwnam(name)
        except KeyError:
            continue
    raise LaunchError(f"PostgreSQL does not run as root, and this machine has none of the accounts {_UNPRIVILEGED}")


def _find(name: str) -> Path | None:
    """The path of a PostgreSQL program: the newest version in Debian's folders, else what is on the path."""
    by_version = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    on_path = shutil.which(name)
    return by_version[-1] if by_version else Path(on_path) if on_path else None


def _tool(name: str) -> str:
    path = _find(name)
    if path is None:
        raise LaunchError(f"PostgreSQL's {name} is not on this machine")
    return str(path)


def _run(argv: list[str], password: str = "", account: struct_passwd | None = None, cwd: Path | None = None) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    ran = subprocess.run(
        argv,
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**inherited, "PGPASSWORD": password},
        user=account and account.pw_uid,
        group=account and account.pw_gid,
        extra_groups=account and [],
    )
    if ran.returncode:
        raise LaunchError(f"{Path(argv[0]).name} failed:\n{ran.stdout}{ran.stderr}")
