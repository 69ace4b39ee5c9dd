"""Processes that ``command_server.py`` forks, with the interface of ``subprocess.Popen``."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from multiprocessing import connection
from pathlib import Path
from typing import Any

from command_server import FREE_VARIABLES, MAX_REQUEST, NUMBER

_PROGRAM = Path(__file__).with_name("command_server.py")
MODULES = (
    "charloom.cli.app",
    "charloom.compression.preparation",
    "charloom.forecasting.forecast",
    "charloom.inference.rarity",
    "charloom.runs.training_run",
    "charloom_codec.codec",
    "torch._dynamo",  # by PyTorch's optimizers
)
"""Modules that the commands import."""


class CommandServer:
    """The process that forks commands. It starts with the first one, and ends with this process in any case.

    Attributes:
        process: The process; None before the first command.
    """

    def __init__(self, environment: dict[str, str], modules: tuple[str, ...] = MODULES) -> None:
        """Initializes the server with its variables and the modules that it imports."""
        self._modules = modules
        self.process: subprocess.Popen[bytes] | None = None
        self._environment = environment
        self._control: socket.socket | None = None

    def can_fork(self, environment: dict[str, str]) -> bool:
        """Returns False if a variable differs that Python reads at its start or modules may read at their import."""
        return hasattr(os, "pidfd_open") and _fixed(environment) == _fixed(self._environment)

    def request(self, descriptors: list[int], request: dict[str, Any]) -> None:
        """Requests a process with these streams; the last descriptor is the pipe for the numbers."""
        control = self._control or self._start()
        message = json.dumps(request, default=str).encode()
        assert len(message) <= MAX_REQUEST, "the arguments are too long"
        try:
            socket.send_fds(control, [message], descriptors)
        except (BrokenPipeError, ConnectionResetError):
            raise self.lost() from None

    def _start(self) -> socket.socket:
        # Of this kind, as messages are kept apart, and each end notices the loss of the other.
        self._control, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            self.process = subprocess.Popen(
                [sys.executable, str(_PROGRAM), str(other.fileno()), *self._modules],
                env=self._environment,
                pass_fds=[other.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        return self._control

    def lost(self) -> RuntimeError:
        """Returns the error of a server that has ended."""
        assert self.process is not None
        return RuntimeError(f"the server of commands has ended with status {self.process.wait()}")

    def close(self) -> None:
        """Ends the server; its commands continue. Raises RuntimeError if it has failed."""
        if self._control is not None and self.process is not None:
            self._control.close()
            if self.process.wait():
                raise self.lost()


class ForkedCommand(subprocess.Popen[Any]):
    """``python -m MODULE ARGUMENTS``, forked by a server."""

    def __init__(self, server: CommandServer, module: str, *arguments: str, **options: Any) -> None:
        """Starts the command.

        Args:
            server: The server that forks.
            module: Name of the module.
            arguments: Its arguments.
            options: ``cwd`` and ``env``; ``stdin``, ``stdout``, ``stderr`` and ``text`` as of ``subprocess.Popen``.
        """
        assert options.keys() <= {"cwd", "env", "stdin", "stdout", "stderr", "text"}, options
        self._server = server
        super().__init__([module, *arguments], **options)

    def _execute_child(self, args: list[str], *others: Any) -> None:
        """Replaces the start of a program by the server's; the superclass makes the pipes and does all the rest."""
        folder, environment, ends = others[4], others[5], others[9:15]
        child_ends = [number if end == -1 else end for number, end in enumerate((ends[0], ends[3], ends[5]))]
        mask = os.umask(0)
        os.umask(mask)
        read_end, write_end = os.pipe()
        self._answers = open(read_end, "rb", buffering=0)  # noqa: SIM115, PTH123
        request = {"module": args[0], "arguments": args[1:], "folder": folder, "environment": environment, "mask": mask}
        try:
            self._server.request([*child_ends, write_end], request)
        except RuntimeError:
            self._answers.close()
            raise
        finally:
            os.close(write_end)
            self._close_pipe_fds(*ends)  # type: ignore[attr-defined]
        self.pid = self._answer()

    def poll(self) -> int | None:
        """Returns the status of the process, or None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Waits for the end of the process. Raises TimeoutExpired."""
        if self.returncode is None:
            if timeout is not None and not connection.wait([self._answers.fileno()], max(timeout, 0)):
                raise subprocess.TimeoutExpired(self.args, timeout)
            self.returncode = self._answer()
            self._answers.close()
        return self.returncode

    def _answer(self) -> int:
        """Returns the next number from the server. Raises RuntimeError if the server has ended."""
        answer = self._answers.read(NUMBER.size)
        if not answer:
            self._answers.close()
            raise self._server.lost()
        return int(NUMBER.unpack(answer)[0])


def _fixed(environment: dict[str, str]) -> dict[str, str]:
    """Returns the variables that must be the same in the server and in a command."""
    return {name: value for name, value in environment.items() if not name.startswith(FREE_VARIABLES)}
