"""Kills trainings with SIGKILL at random moments, goes on with the same command, and compares the weights' bytes.

    python benchmarks/kill_and_resume.py --kills 20

One training runs undisturbed; then others of the same recipe are killed, some of them several times in a row, until
the asked for number of kills has hit. Every one must end with the undisturbed one's model, byte for byte.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# A checkpoint after every step, so that kills hit checkpoints being written as well.
SETTINGS = ("digits", "network=residual", "network.options.depth=8", "epochs=3", "train.checkpoint=0.001")
TIMEOUT = 600.0


@dataclass(frozen=True)
class Killed:
    """A training that was killed and gone on with.

    Attributes:
        hits: kills that hit a living process; a training may end before its kill.
        moments: seconds of each kill, from the first file in the run's folder or from the start if it was there.
        unfinished: kills that left a checkpoint behind.
        same: whether its model's bytes are the undisturbed one's.
    """

    hits: int
    moments: list[float]
    unfinished: int
    same: bool


def start(settings: Sequence[str], out: Path, cache: Path) -> subprocess.Popen[str]:
    """Start `convolve train` as a user would."""
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "convolve.faces.cli.main", "train", *settings, "--out", str(out)],
        env=os.environ | {"CONVOLVE_CACHE": str(cache), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> None:
    """Wait for a training that must succeed."""
    _, errors = process.communicate(timeout=TIMEOUT)
    if process.returncode != 0:
        raise RuntimeError(f"the training ended with {process.returncode}:\n{errors}")


def train_undisturbed(settings: Sequence[str], out: Path, cache: Path) -> tuple[bytes, float]:
    """The model's bytes, and the seconds from the first file in the run's folder to the end."""
    process = start(settings, out, cache)
    _wait_for_work(process, out)
    began = time.monotonic()
    finish(process)
    return (out / "model.safetensors").read_bytes(), time.monotonic() - began


def train_with_kills(
    settings: Sequence[str],
    out: Path,
    cache: Path,
    *,
    kills: int,
    seconds: float,
    expected: bytes,
    chance: random.Random,
) -> Killed:
    """Start a training `kills` times, kill it each time after a random part of `seconds` of work, then let it end."""
    moments, unfinished = [], 0
    for _ in range(kills):
        process = start(settings, out, cache)
        # Importing takes as long as the training itself; kills are spread over the work.
        _wait_for_work(process, out)
        moment = chance.uniform(0, seconds)
        try:
            process.communicate(timeout=moment)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            moments.append(round(moment, 2))
            unfinished += (out / "checkpoint.safetensors").exists()
    finish(start(settings, out, cache))
    left = [path.name for path in out.rglob("*.part")]
    if left:
        raise RuntimeError(f"files of killed processes are left: {left}")
    return Killed(len(moments), moments, unfinished, (out / "model.safetensors").read_bytes() == expected)


def _wait_for_work(process: subprocess.Popen[str], out: Path) -> None:
    """Until the process has taken the run's lock: open files of a process are named in /proc."""
    lock = (out / ".lock").resolve()
    deadline = time.monotonic() + TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if any(handle.resolve() == lock for handle in Path(f"/proc/{process.pid}/fd").iterdir()):
                return
        except OSError:  # a file was closed between listing and looking
            continue
        time.sleep(0.01)


def main() -> int:
    """Run the experiment and print what happened; 1 if any training was lost or ended elsewhere."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    # Small batches make the training the longer part of the work, so that more of the kills fall into it.
    settings = (*SETTINGS, "batch_size=8")
    chance = random.Random(arguments.seed)  # noqa: S311
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        expected, seconds = train_undisturbed(settings, root / "undisturbed", root / "cache")
        print(f"undisturbed: {seconds:.1f} s of work, model of {len(expected):,} bytes")
        hits = trainings = same = unfinished = 0
        while hits < arguments.kills:
            kills = min(chance.randint(1, 3), arguments.kills - hits)
            out = root / f"killed-{trainings}"
            killed = train_with_kills(
                settings, out, root / "cache", kills=kills, seconds=seconds, expected=expected, chance=chance
            )
            trainings += 1
            hits += killed.hits
            same += killed.same
            unfinished += killed.unfinished
            print(f"training {trainings}: killed at {killed.moments} s, {'same' if killed.same else 'OTHER'} bytes")
    print(
        f"{hits} kills hit ({unfinished} of them left a checkpoint) in {trainings} trainings; "
        f"{same} ended with the undisturbed model.safetensors, byte for byte, {trainings - same} did not"
    )
    return 0 if same == trainings else 1


if __name__ == "__main__":
    sys.exit(main())
