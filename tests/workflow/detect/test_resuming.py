"""A training on boxes that was stopped anywhere, its lower levels frozen, ends with the bytes of one left alone."""

import pytest

from convolve.progress import silent
from convolve.workflow.recipes import recipe_from
from convolve.workflow.train import train
from workflow.detect.shapes import FASTER, voc_folder


class Stopped(Exception):  # noqa: N818
    pass


def run(data, settings, out, progress=silent):
    return train(recipe_from(str(data), settings), out=out, progress=progress, say=lambda _: None)


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_stopped_in_every_phase(engine, finished, tmp_path):
    if engine == "openvino":
        pytest.importorskip("openvino")
    rest = [word for word in FASTER if not word.startswith(("network", "compute.engine"))]
    settings = [*rest, f"compute.engine={engine}", f"start={finished}", "start.options.stages=2", "epochs=2"]
    settings += ["train.checkpoint=0.0001", "augment=objects"]
    # Sizes differ, so that what evaluation asks of the engine does too.
    data = voc_folder(tmp_path / "data", sizes=[(96, 128), (128, 96), (80, 128)])
    expected = run(data, settings, tmp_path / "alone")
    for phase, number in (("training", 1), ("training", 4), ("training", 6), ("testing", 2)):

        def progress(what, done, total, phase=phase, number=number):
            if (what, done) == (phase, number):
                raise Stopped

        with pytest.raises(Stopped):
            run(data, settings, tmp_path / "parted", progress)
    resumed = run(data, settings, tmp_path / "parted")
    assert resumed.model.read_bytes() == expected.model.read_bytes()
    assert (tmp_path / "parted" / "history.jsonl").read_bytes() == (tmp_path / "alone" / "history.jsonl").read_bytes()
    mine, theirs = resumed.read("results")["test"], expected.read("results")["test"]
    assert {**mine, "ms_per_image": 0, "ms_by_stage": 0} == {**theirs, "ms_per_image": 0, "ms_by_stage": 0}
    assert not (resumed.folder / "checkpoint.safetensors").exists()
