import json
from pathlib import Path

import numpy as np

from convolve.data.boxes.detections import Detections
from convolve.deploy.detection.summary import detection_summary


def test_a_line_of_json():
    found = Detections(
        np.array([[0, 1.23456, 10, 20], [1 / 3, 2, 5, 6], [0, 0, 1, 1]]),
        np.array([1, 1, 0]),
        np.array([0.987654, 0.5, 0.25]),
    )
    told = detection_summary("a.png", found, ("ring", "disc", "none"), {"picture": Path("out/a.png")})
    assert json.loads(json.dumps(told)) == told
    assert told == {
        "image": "a.png",
        "boxes": [
            {"label": "disc", "probability": 0.9877, "box": [0, 1.23, 10, 20]},
            {"label": "disc", "probability": 0.5, "box": [0.33, 2, 5, 6]},
            {"label": "ring", "probability": 0.25, "box": [0, 0, 1, 1]},
        ],
        "counts": {"ring": 1, "disc": 2, "none": 0},
        "files": {"picture": str(Path("out/a.png"))},
    }


def test_nothing_found():
    nothing = Detections(np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0))
    assert detection_summary("a", nothing, ("b",), {}) == {"image": "a", "boxes": [], "counts": {"b": 0}, "files": {}}
