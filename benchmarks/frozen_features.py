"""Frozen features and a linear classifier, from nothing to a test figure, against the same in timm and scikit-learn.

    python benchmarks/frozen_features.py [ROUNDS]

Both ways are commands of their own, timed from start to exit: imports, decoding, features of EfficientNet-Lite0 at 224
pixels, seven penalties by five-fold cross-validation, judging the test cells of ELPV. convolve begins with an empty
cache, and once more with what that run left there. The other way is what their documentation shows: a DataLoader with
two workers, float32, no change of memory layout, `GridSearchCV` over `LogisticRegression`. It uses convolve's split, so
both accuracies are of the same 656 cells.
"""

import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PENALTIES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)


def as_documented(split_file: Path) -> None:
    """The way of timm's and scikit-learn's documentation; prints its test accuracy."""
    import timm
    import torch
    from elpv_dataset.utils import load_dataset
    from PIL import Image
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from torch.utils.data import DataLoader, Dataset
    from torchvision.transforms import v2

    from convolve.networks.pretrained import find_weights

    images, probabilities, _ = load_dataset()
    with split_file.open(newline="", encoding="utf-8") as file:
        tested = torch.tensor([row["split"] == "test" for row in csv.DictReader(file)]).numpy()
    labels = (probabilities < 0.5).astype(int)
    transform = v2.Compose(
        [
            v2.Resize((224, 224), v2.InterpolationMode.BICUBIC),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([127 / 255] * 3, [128 / 255] * 3),
        ]
    )

    class Cells(Dataset[torch.Tensor]):
        def __len__(self) -> int:
            return len(images)

        def __getitem__(self, index: int) -> torch.Tensor:
            return transform(Image.fromarray(images[index]).convert("RGB"))

    network = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)
    weights = find_weights("timm:tf_efficientnet_lite0")
    assert weights is not None
    network.load_state_dict(weights.load())
    network.eval()
    with torch.no_grad():
        parts = [network(batch) for batch in DataLoader(Cells(), batch_size=32, num_workers=2)]
    features = torch.cat(parts).numpy()
    train = ~tested
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        {"logisticregression__C": [1 / (penalty * train.sum()) for penalty in PENALTIES]},
        scoring="neg_log_loss",
    ).fit(features[train], labels[train])
    accuracy = float(search.best_estimator_.score(features[tested], labels[tested]))
    print(json.dumps({"accuracy": accuracy}))


def timed(command: list[str], environment: dict[str, str]) -> tuple[float, dict[str, object]]:
    """Seconds from start to exit, and the JSON object that the command prints."""
    started = time.perf_counter()
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)  # noqa: S603
    return time.perf_counter() - started, json.loads(done.stdout)


def with_convolve(name: str, layers: str, folder: Path, environment: dict[str, str]) -> float:
    """Seconds of `convolve train elpv start=features`; the run is `folder/name`."""
    command = [sys.executable, "-m", "convolve.faces.cli.main", "train", "elpv", "start=features", "data.test=0.25"]
    command += [f"start.options.layers={layers}", "--out", str(folder / name), "--json"]
    seconds, results = timed(command, environment)
    accuracy = results["test"]["accuracy"]  # type: ignore[index]
    print(f"convolve, {name}: {seconds:.1f} s, {accuracy:.2%} right", flush=True)
    return seconds


def main(rounds: int) -> None:
    """Run all ways in turn; what counts is the median of the rounds' ratios."""
    ratios: list[float] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            environment = {**os.environ, "CONVOLVE_CACHE": str(folder / "cache")}
            cold = with_convolve("last-cold", "last", folder, environment)
            with_convolve("last-warm", "last", folder, environment)
            with_convolve("stages-half-warm", "stages", folder, environment)
            with_convolve("stages-warm", "stages", folder, environment)
            documented = [sys.executable, __file__, "--documented", str(folder / "last-cold" / "split.csv")]
            seconds, results = timed(documented, environment)
            print(f"timm and scikit-learn: {seconds:.1f} s, {results['accuracy']:.2%} right", flush=True)
            ratios.append(seconds / cold)
            print(f"cold, last features: {ratios[-1]:.2f} times as fast", flush=True)
    print(f"median of {rounds} rounds: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    if "--documented" in sys.argv:
        as_documented(Path(sys.argv[-1]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
