"""Does a network for solar cells look at the defect? Grad-CAM's share in the spotted quarter of 12 defective cells.

    convolve train elpv --out runs/elpv
    python benchmarks/elpv_grad_cam.py runs/elpv sheet.png

Defects are dark, since damaged silicon gives no light. Of the test cells that experts call defective and the network
too, the 12 whose dark spots lie most in one quarter are taken: the choice knows the pixels, not the maps. A map that
knows nothing of the place has a quarter of its mass there. Printed beside it: the share of Grad-CAM of the same network
with its head's weights, or all its weights, shuffled, and how many maps have more than half there.
"""

import csv
import statistics
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from convolve.data.dataset import ImageArray
from convolve.data.pack import prepare_image
from convolve.deploy.model import load_model
from convolve.run.files import atomic_path
from convolve.run.folder import Run
from convolve.see.inside.contact_sheet import contact_sheet, labelled
from convolve.see.inside.grad_cam import grad_cam
from convolve.see.inside.heat import overlay, resized
from convolve.see.inside.randomised import randomised
from convolve.workflow.explaining.classify import ClassifierExplainer
from convolve.workflow.planning import read_plan
from convolve.workflow.testing import own_opened

CELLS = 12


def quarters(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(H, W) -> (4,) sums of the quarters: top left, top right, bottom left, bottom right."""
    height, width = values.shape
    parts = [values[: height // 2], values[height // 2 :]]
    return np.array(
        [part[:, columns].sum() for part in parts for columns in (slice(0, width // 2), slice(width // 2, None))]
    )


def standing_out(cell: ImageArray) -> tuple[int, float]:
    """The quarter of a cell with most of its dark spots, and the share of them that it has.

    A spot is a pixel more than two deviations darker than the rest, once the cell's slope of brightness (a plane) and
    the busbars, dark rows in every cell, are taken out. Cells with spots on under 1 % of the pixels count for 0.
    """
    grey = cell.mean(axis=2)
    rows, columns = np.indices(grey.shape)
    terms = np.stack([np.ones(grey.size), rows.ravel(), columns.ravel()], axis=1)
    flat = grey - (terms @ np.linalg.lstsq(terms, grey.ravel())[0]).reshape(grey.shape)
    flat -= np.median(flat, axis=1, keepdims=True)
    spots = flat < -2 * flat.std()
    parts = quarters(spots.astype(float))
    darkest = int(parts.argmax())
    return darkest, float(parts[darkest] / parts.sum()) if spots.mean() >= 0.01 else 0.0


def main() -> None:
    """Print the shares and write the sheet."""
    run, out = Run(Path(sys.argv[1])), Path(sys.argv[2])
    model = load_model(run.model)
    explainer = ClassifierExplainer(model)
    subject = explainer.network()
    samples = {one.name: one for one in own_opened(run, read_plan(run).recipe, lambda *told: None).dataset.samples}
    with run.predictions.open(newline="") as file:
        found = [row["image"] for row in csv.DictReader(file) if row["truth"] == row["predicted"] == "defective"]
    cells = {name: prepare_image(samples[name].image, model.preprocessing).pixels for name in found}
    chosen = sorted(found, key=lambda name: -standing_out(cells[name])[1])[:CELLS]
    wanted = model.classes.index("defective")
    questions = [explainer.question(cells[name], name, wanted=wanted, truth=wanted) for name in chosen]
    images = torch.stack([question.image for question in questions])
    targets = torch.full((len(chosen),), wanted)
    shares = {}
    for title, network in (
        ("trained", subject),
        ("head shuffled", randomised(subject, 0, share="top")),
        ("all shuffled", randomised(subject, 0, share="all")),
    ):
        maps = grad_cam(network, images, targets)
        shares[title] = []
        tiles = []
        for question, name, heat in zip(questions, chosen, maps, strict=True):
            full = resized(heat, (images.shape[2], images.shape[3])).numpy().astype(np.float64)
            parts, (dark, _) = quarters(full), standing_out(cells[name])
            share = parts[dark] / parts.sum() if parts.sum() > 0 else float("nan")
            shares[title].append(share)
            tiles.append(
                labelled(overlay(question.picture, heat), f"{Path(name).stem}: {share:.0%} in the {CORNERS[dark]}")
            )
        known = [share for share in shares[title] if not np.isnan(share)]
        median = statistics.median(known) if known else float("nan")
        largest = sum(share > 0.5 for share in known)
        print(f"{title}: median {median:.1%} of {len(known)} maps with anything in them; above half in {largest}")
        if title == "trained":
            with atomic_path(out) as aside:
                Image.fromarray(contact_sheet(tiles, 4, gap=6)).save(aside, "PNG")
    print(f"{len(found)} cells to choose from; the sheet: {out}")


CORNERS = ("top left", "top right", "bottom left", "bottom right")

if __name__ == "__main__":
    main()
