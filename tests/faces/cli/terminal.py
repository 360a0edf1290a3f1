"""The console script as a user has it: words in; exit code, stdout and stderr out."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from convolve.faces.cli.main import main


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def convolve(*words: object) -> Answer:
    """Run the console script in this process; what is no exit (a traceback, for a user) comes out as it is."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["convolve", *map(str, words)])
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main()
            except SystemExit as error:
                code = error.code if isinstance(error.code, int) else 0
    return Answer(code, out.getvalue(), err.getvalue())


def succeeds(*words: object) -> Answer:
    answer = convolve(*words)
    assert answer.code == 0, answer.err
    return answer


def refused(*words: object) -> str:
    """The words of the refusal: exit code 2, nothing on stdout, one or two lines that end stderr."""
    answer = convolve(*words)
    assert answer.code == 2, answer
    assert answer.out == ""
    remarks, said, refusal = answer.err.rpartition("convolve: ")
    assert said, remarks
    assert 1 <= len(refusal.strip().splitlines()) <= 2, refusal
    return refusal


def start(*words: object) -> "subprocess.Popen[str]":
    """The console script in a process of its own."""
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "convolve.faces.cli.main", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        # A shell starts what runs in the background deaf to Ctrl-C, and processes inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
