"""The results of a finished training, for commands that read them."""

from typing import Any

from convolve.errors import UserError
from convolve.run.folder import Run


def results_of_training(run: Run) -> dict[str, Any]:
    """What a training found.

    Raises:
        UserError: it is not finished, or a pre-training, which has no figures of this kind.
    """
    results: dict[str, Any] | None = run.read("results")
    if results is None:
        raise UserError(f"{run.folder}: this training is not finished", "Run the command that began it again.")
    if results["task"] == "pretrain":
        raise UserError(
            f"{run.folder}: a pre-training, which has no test figures",
            f"Train from it and judge that: convolve train DATA start={run.folder}",
        )
    return results
