"""Servers as child processes: started, waited for, and never left behind."""

import contextlib
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from pwd import struct_passwd


class LaunchError(RuntimeError):
    """A server could not be started or made ready; the text ends with the tail of its log."""


class Child:
    """A running server that never outlives this process, even when this process is killed.

    A shell holds the other end of a pipe and signals the server when the pipe breaks. (Linux's parent-death
    signal would not do: it fires when the *thread* that started the server ends.) The server runs in a session
    of its own, so Ctrl-C reaches this process first.
    """

    def __init__(
        self,
        argv: Sequence[str],
        log: Path,
        *,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        account: struct_passwd | None = None,
        orphaned: signal.Signals = signal.SIGKILL,
    ) -> None:
        """Start `argv` as `account` in `env` (None: ours), its output added to `log`; `orphaned` is sent if we die."""
        self._log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._log_start = output.tell()
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=cwd,
                env=env,
                start_new_session=True,
                user=account and account.pw_uid,
                group=account and account.pw_gid,
                extra_groups=account and [],
            )
        guard = [
            "sh",
            "-c",
            'read -r _ || kill -s "$1" "$2"',
            "guard",
            orphaned.name.removeprefix("SIG"),
            str(self.pid),
        ]
        self._guard = subprocess.Popen(guard, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)

    @property
    def pid(self) -> int:
        return self._process.pid

    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def exit_status(self) -> int | None:
        """Below 0 where a signal ended it; None as long as it runs."""
        return self._process.returncode

    def logged(self, text: str) -> bool:
        """Whether `text` is in what the server has written since this start."""
        return text.encode() in self._output()

    def wait_until(self, ready: Callable[[], bool], limit: timedelta) -> None:
        """Return once `ready()`; when the server exits first or `limit` passes, end it and raise `LaunchError`."""
        deadline = time.monotonic() + limit.total_seconds()
        while not ready():
            if not self.running():
                self._fail(f"exited with status {self._process.returncode} before it was ready")
            if time.monotonic() > deadline:
                self._fail(f"was not ready within {limit.total_seconds():g} s")
            time.sleep(0.05)

    def end(self, signals: Sequence[tuple[signal.Signals, timedelta]] = ()) -> None:
        """Send each signal and give it its time, SIGKILL last; return when the server is gone and reaped."""
        for number, grace in (*signals, (signal.SIGKILL, timedelta(days=1))):
            self._process.send_signal(number)  # does nothing once the server has been reaped
            try:
                self._process.wait(grace.total_seconds())
                break
            except subprocess.TimeoutExpired:
                continue
        with contextlib.suppress(ValueError):  # ended before
            self._guard.communicate(b"\n")  # a line, not a broken pipe: nothing is left to signal

    def _output(self) -> bytes:
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            return log.read()

    def _fail(self, what: str) -> None:
        self.end()
        tail = "\n".join(self._output().decode(errors="replace").splitlines()[-25:])
        raise LaunchError(f"{Path(str(self._process.args[0])).name} {what}; the end of {self._log}:\n{tail}")  # type: ignore[index]


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on, below the range that outgoing connections take theirs from.

    From inside that range a client that retries while the server is down can connect to itself and so hold the
    port against the server's return.
    """
    for port in random.SystemRandom().sample(range(20_000, 32_000), 200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise LaunchError("no free port between 20000 and 32000")


def answers(port: int) -> bool:
    """Whether 127.0.0.1:`port` accepts a connection."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
