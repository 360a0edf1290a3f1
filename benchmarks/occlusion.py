"""Occlusion of one 300 x 300 solar cell by EfficientNet-Lite0, against Captum's Occlusion in torch on the same squares.

    python benchmarks/occlusion.py [ROUNDS]

The network is what convolve trains by default: frozen features of several depths and a linear head, here fitted to 100
cells of ELPV. convolve runs it with OpenVINO, once with an empty cache of converted networks and then as for a second
image; Captum runs the same squares in torch, 16 at a time. Each way in a process of its own; medians over the rounds
of seconds, and of processor seconds, which other work on the machine disturbs less.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CELLS = 100
SIDE = 300


def subject_and_images(engine: str) -> tuple[Any, Any]:
    """The network as a Subject, and (N, 3, 300, 300) cells in [0, 1]."""
    import timm
    import torch
    from elpv_dataset.utils import load_dataset
    from sklearn.linear_model import LogisticRegression
    from torch import nn

    from convolve.networks.joined_features import JoinedFeatures, stage_layers
    from convolve.networks.network import Network
    from convolve.networks.pretrained import find_weights
    from convolve.see.inside.subject import Subject
    from convolve.training.compute import Compute

    cells, probabilities, _ = load_dataset()
    chosen = [*range(0, len(cells), len(cells) // CELLS)][:CELLS]
    pixels = torch.stack([torch.from_numpy(cells[row]) for row in chosen])
    images = (pixels.float() / 255)[:, None].expand(-1, 3, -1, -1).contiguous()
    backbone = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)
    weights = find_weights("timm:tf_efficientnet_lite0")
    assert weights is not None
    backbone.load_state_dict(weights.load())
    joined = JoinedFeatures(backbone.eval(), stage_layers(backbone, channels=3, image_hw=(SIDE, SIDE)))

    def normalise(batch: torch.Tensor) -> torch.Tensor:
        return (batch - 127 / 255) / (128 / 255)

    with torch.inference_mode():
        features = torch.cat([joined(normalise(some)) for some in images.split(16)])
    mean, std = features.mean(dim=0), features.std(dim=0) + 1e-6
    labels = [int(probabilities[row] >= 0.5) for row in chosen]
    fitted = LogisticRegression(C=0.01, max_iter=1000).fit(((features - mean) / std).numpy(), labels)
    head = nn.Linear(features.shape[1], 2)
    with torch.no_grad():
        slope = torch.from_numpy(fitted.coef_[0]).float() / std
        head.weight.copy_(torch.stack([torch.zeros_like(slope), slope]))
        head.bias.copy_(torch.tensor([0.0, float(fitted.intercept_[0]) - float(slope @ mean)]))
    network = Network(joined, head, features=features.shape[1]).eval()
    subject = Subject(
        network=network,
        body=backbone,
        normalise=normalise,
        classes=("sound", "defective"),
        channels=3,
        image_hw=(SIDE, SIDE),
        fill=(127 / 255,) * 3,
        compute=Compute(engine=engine),
    )
    return subject, images[[labels.index(1), len(labels) - 1 - labels[::-1].index(1)]]


def ours(map_file: str) -> None:
    """Seconds for a first and a second image by convolve, and the first's map of mean falls."""
    import torch

    from convolve.see.inside.occlusion import choose_squares, occlude, occlusion_heat

    subject, images = subject_and_images("openvino")
    squares = choose_squares((SIDE, SIDE))
    measured: dict[str, float] = {"squares": len(squares), "side": squares.side}
    for name, image in zip(("first", "second"), images, strict=True):
        started, busy = time.perf_counter(), time.process_time()
        occluded = occlude(subject, image, squares)
        measured[name], measured[f"{name}_cpu"] = time.perf_counter() - started, time.process_time() - busy
        if name == "first":
            torch.save(occlusion_heat(subject, occluded, 1), map_file)
    print(json.dumps(measured))


def captums(map_file: str) -> None:
    """Seconds for the first image by Captum, and its map."""
    import torch
    from captum.attr import Occlusion

    from convolve.see.inside.occlusion import choose_squares

    subject, images = subject_and_images("torch")
    squares = choose_squares((SIDE, SIDE))
    started, busy = time.perf_counter(), time.process_time()
    with torch.inference_mode():
        falls = Occlusion(lambda batch: subject.probabilities(subject.logits(batch))).attribute(
            images[:1],
            sliding_window_shapes=(3, squares.side, squares.side),
            strides=(3, squares.stride, squares.stride),
            baselines=torch.tensor(subject.fill)[None, :, None, None].expand_as(images[:1]),
            target=1,
            perturbations_per_eval=16,
        )
    print(json.dumps({"captum": time.perf_counter() - started, "captum_cpu": time.process_time() - busy}))
    torch.save(falls[0, 0], map_file)


def run(way: str, map_file: Path) -> dict[str, float]:
    """What one way, in a process of its own, prints."""
    done = subprocess.run(  # noqa: S603 - this very script
        [sys.executable, __file__, way, str(map_file)],
        check=True,
        capture_output=True,
        text=True,
    )
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def main(rounds: int) -> None:
    """Time both ways in turn and compare their maps."""
    import torch

    with tempfile.TemporaryDirectory() as folder:
        own, other = Path(folder) / "own.pt", Path(folder) / "other.pt"
        rounds_measured = [run("ours", own) | run("captum", other) for _ in range(rounds)]
        maps = torch.load(own), torch.load(other)
    median = {name: statistics.median(one[name] for one in rounds_measured) for name in rounds_measured[0]}
    # At the lower and right edges convolve's last squares are flush with the edge, Captum's are cut off by it.
    inner = SIDE - int(median["side"])
    difference = float((maps[0] - maps[1])[:inner, :inner].abs().max())
    print(f"{median['squares']:.0f} squares of {SIDE} x {SIDE} pixels, median of {rounds} rounds")
    for name, words in (
        ("first", "convolve, first image"),
        ("second", "convolve, second image"),
        ("captum", "Captum in torch"),
    ):
        ratio = median["captum_cpu"] / median[f"{name}_cpu"]
        seconds = f"{median[name]:.1f} s, {median[f'{name}_cpu']:.1f} s of processors"
        print(f"{words}: {seconds}; Captum takes {ratio:.1f} times the processors")
    print(f"maps differ by at most {difference:.1e}, of falls up to {float(maps[1].abs().max()):.3f}")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        {"ours": ours, "captum": captums}[sys.argv[1]](sys.argv[2])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
