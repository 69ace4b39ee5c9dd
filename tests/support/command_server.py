"""Starts commands by forks of a process that has imported PyTorch and charloom: seconds less for each.

This file is run as a program. It only imports modules, so that it has one thread and a child is as a new process
after these imports. A child gets its own streams, environment, folder and mask of new files. It ends as Python does:
``atexit``, the status of an exception, the flush of the streams. ``forked_command.py`` is the client.

``multiprocessing.forkserver`` is not enough: its children end by ``os._exit``, and the loss of the server shows only as
an exit status.
"""

import contextlib
import gc
import importlib
import io
import json
import os
import runpy
import selectors
import signal
import socket
import struct
import sys
import sysconfig
from typing import Any

FREE_VARIABLES = ("HOME", "CHARLOOM_", "XDG_", "HF_", "no_proxy", "NO_PROXY", "PYTEST_")
"""Starts of the names of variables that no import reads: a command may have other values than the server."""
NUMBER = struct.Struct("q")
"""Message that a pipe receives for a command: the id of its process, then its exit status."""
MAX_REQUEST = 1 << 17


def main() -> None:
    """Serves until the client ends, and runs a command in each child."""
    del sys.path[0]  # the folder of this file
    control = socket.socket(fileno=int(sys.argv[1]))
    # Ctrl-C in a terminal is for the tests. A signal to a child is kept until the child can handle it.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    _import_modules(sys.argv[2:])
    if request := _serve(control):
        _become(request)
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)


def _import_modules(modules: list[str]) -> None:
    """Imports the modules. Raises RuntimeError if a child would then differ from a new process."""
    sysconfig.get_config_vars()  # reads HOME for the folder of a user's own packages, which commands do not use
    read = set()
    variables: Any = type(os.environ)
    original = variables.__getitem__

    def record(self: Any, name: str) -> Any:
        if sys._getframe(1).f_code.co_name != "__iter__":  # tqdm looks through all for those with its own name
            read.add(name)
        return original(self, name)

    variables.__getitem__ = record
    for module in modules:
        importlib.import_module(module)
    variables.__getitem__ = original
    if early := [name for name in read if name.startswith(FREE_VARIABLES)]:
        raise RuntimeError(f"imports read variables that may differ: {early}")
    if len(os.listdir("/proc/self/task")) > 1:  # noqa: PTH208
        raise RuntimeError("an import has started a thread, which a fork would lose")
    gc.freeze()  # a collection in a child would write to most of the memory, and copy it


def _serve(control: socket.socket) -> dict[str, Any] | None:
    """Forks a child for each request. Returns the request in the child, and None when the client has ended."""
    pipes: dict[int, int] = {}  # to the clients, by the descriptors of the processes
    with control, selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fd in pipes:
                    selector.unregister(key.fd)
                    _, status = os.waitpid(key.data, 0)
                    _report(pipes[key.fd], os.waitstatus_to_exitcode(status))
                    _close(key.fd, pipes.pop(key.fd))
                    continue
                message, descriptors, _, _ = socket.recv_fds(control, MAX_REQUEST, 4)
                if not message:
                    return None
                pid = os.fork()
                if pid == 0:
                    # A client sees the end of the server by the end of its pipe, which no child may keep open.
                    _close(descriptors.pop(), *pipes, *pipes.values())
                    return {**json.loads(message), "streams": descriptors}
                process = os.pidfd_open(pid)
                selector.register(process, selectors.EVENT_READ, pid)
                *streams, pipes[process] = descriptors
                _close(*streams)
                _report(pipes[process], pid)


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _report(pipe: int, number: int) -> None:
    """Writes to the pipe of a command; a test may have dropped its end."""
    with contextlib.suppress(BrokenPipeError):
        os.write(pipe, NUMBER.pack(number))


def _become(request: dict[str, Any]) -> None:
    """Gives this child what a new process of the request would have."""
    for number, descriptor in enumerate(request["streams"]):
        os.dup2(descriptor, number)
        os.close(descriptor)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        setattr(sys, name, _opened(number, getattr(sys, name)))
        setattr(sys, f"__{name}__", getattr(sys, name))
    os.environ.clear()
    os.environ.update(request["environment"])
    os.umask(request["mask"])
    os.chdir(request["folder"])
    sys.path.insert(0, os.getcwd())  # noqa: PTH109
    sys.argv = [request["module"], *request["arguments"]]
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


def _opened(number: int, like: Any) -> Any:
    """Opens a standard stream as Python does at its start, as buffers and their lines depend on the file."""
    unbuffered = isinstance(like.buffer, io.RawIOBase)
    mode = "w" if number else "r"
    binary: Any = open(number, f"{mode}b", buffering=0 if unbuffered else -1, closefd=False)  # noqa: SIM115
    getattr(binary, "raw", binary).name = like.name
    stream: Any = io.TextIOWrapper(
        binary,
        like.encoding,
        like.errors,
        newline="\n",
        line_buffering=number > 0 and not unbuffered and (number == 2 or binary.isatty()),
        write_through=like.write_through,
    )
    stream.mode = mode
    return stream


if __name__ == "__main__":
    main()
