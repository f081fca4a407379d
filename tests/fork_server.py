"""Python processes that start at once: forked from one that has imported bprop and compiled a function.

For tests that need a process of its own and do not test what Python imports. The process is a child of a server, which
has loaded no plan and no kernel that a test compiles. Of numba's variables only NUMBA_DISABLE_JIT is the process's own.
"""

import functools
import json
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np


class Process:
    """`python script.py ...`, or `python -m module ...`, in a child of the server, like `subprocess.Popen`.

    Args: arguments: those of Python; folder: its working folder; environment: its variables, by default this process's;
        strict: whether warnings are errors.
    """

    def __init__(self, arguments: Sequence[str], folder: Path, environment: Mapping | None = None, strict=False):
        environment = dict(os.environ if environment is None else environment)
        self.compiles = environment.get("NUMBA_DISABLE_JIT", "0") in ("", "0")
        self.output = Path(tempfile.mkdtemp(), "output")
        self.returncode: int | None = None
        job = {"argv": list(arguments), "folder": str(folder), "environment": environment, "strict": strict}
        self.number = ask_server(self.compiles, {**job, "output": str(self.output)})

    def communicate(self) -> tuple[str, str]:
        """Wait for the process; returns what it wrote to stdout and stderr."""
        self.returncode = ask_server(self.compiles, {"wait": self.number})
        out, err = (self.output.with_suffix(suffix).read_text() for suffix in (".out", ".err"))
        shutil.rmtree(self.output.parent)
        return out, err


def run_python(arguments, folder, environment=None, strict=False) -> subprocess.CompletedProcess:
    """Run a `Process` to its end, like `subprocess.run`."""
    process = Process(arguments, folder, environment, strict)
    out, err = process.communicate()
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def ask_server(compiles: bool, request: dict) -> int:
    """Send one request to a server of this process; returns its answer."""
    server = start_server(compiles)
    server.stdin.write(json.dumps(request) + "\n")
    server.stdin.flush()
    return int(server.stdout.readline())


@functools.cache
def start_server(compiles: bool) -> subprocess.Popen:
    """One server with numba, one without, for each process that runs tests; they end with it."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "BPROP_CACHE_DIR": folder, "NUMBA_DISABLE_JIT": "0" if compiles else "1"}
        server = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert server.stdout.readline() == "ready\n"
    return server


# -- in the server -----------------------------------------------------------------------------------------------------


def run_job(job: dict) -> int:
    """Run a script or a module as Python does, in the folder and environment asked for; returns its exit status."""
    for suffix, number in ((".out", 1), (".err", 2)):
        with open(job["output"] + suffix, "wb") as file:
            os.dup2(file.fileno(), number)
    os.environ.clear()
    os.environ.update(job["environment"])
    os.chdir(job["folder"])
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    sys.argv, sys.path[0] = job["argv"], job["folder"]
    if job["strict"]:
        warnings.simplefilter("error")
    try:
        if sys.argv[0] == "-m":
            del sys.argv[0]
            runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as leaving:
        if isinstance(leaving.code, str):
            print(leaving.code, file=sys.stderr)
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def serve() -> None:
    """Fork a process for each job; answer with its number, and with its exit status when that is asked for."""
    requests, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    print("ready", file=answers, flush=True)
    for line in requests:
        request = json.loads(line)
        if "wait" in request:
            answer = os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])
        else:
            answer = os.fork()
            if answer == 0:
                requests.close()
                answers.close()
                raise SystemExit(run_job(request))
        print(answer, file=answers, flush=True)


def compile_one() -> None:
    """Compile a module, so that the children find numba's tables of types made; no test calls one with such an x."""
    import bprop.trainers.cli
    from bprop.modules import Module

    class Doubled(Module):
        def fprop(self, x):
            return 2 * x

        def bprop(self, grad_y):
            return 2 * grad_y

    assert bprop.trainers.cli
    Doubled().fprop(np.ones((1, 1, 1, 1, 1)))


if __name__ == "__main__":
    compile_one()
    serve()
