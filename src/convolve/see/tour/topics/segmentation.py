"""From patches to dense to fully convolutional: equality and arithmetic computed now, trainings from before."""

from typing import Any

import torch
from matplotlib.figure import Figure as Chart

from convolve.networks.architectures.patch_net import patch_net
from convolve.networks.cost import cost_of
from convolve.networks.score_maps.dense import dense
from convolve.networks.score_maps.patch import patch
from convolve.randomness import torch_randomness
from convolve.see.report.svg import BLUE, ORANGE
from convolve.see.tour.drawing import INK, WIDTH, themed, tour_style
from convolve.see.tour.measured import CAMVID_U_NET, DATE, DENSE_OVER_PATCH_TIMES, MACHINE
from convolve.see.tour.schemes import Part, draw_scheme
from convolve.see.tour.topic import TOPICS, Figure, Section, Table, Topic

_CLASSES, _BANDS, _PATCH_SIDE, _IMAGE_SIDE = 6, 5, 65, 512
_SMALL_PATCH, _SMALL_IMAGE = 33, (10, 13)
"""Where both ways are run to be compared: every pixel's patch goes through the network."""
_SCHEME = (
    (
        "patch",
        (
            Part("65 x 65 pixels\naround each"),
            Part("convolutions,\nfully connected"),
            Part("class of the\nmiddle pixel"),
        ),
    ),
    (
        "dense",
        (Part("whole image", new=True), Part("same weights,\nmoved over it", new=True), Part("class of\nevery pixel")),
    ),
    (
        "FCN-32s",
        (
            Part("whole image"),
            Part("a pre-trained\nnetwork's maps", new=True),
            Part("scores at 1/32,\nenlarged", new=True),
        ),
    ),
    (
        "FCN-16s, 8s",
        (Part("whole image"), Part("maps at 1/32,\n1/16, 1/8", new=True), Part("scores added,\nenlarged", new=True)),
    ),
    ("U-Net", (Part("whole image"), Part("maps at\nall sizes"), Part("maps joined,\nthen scores", new=True))),
)
PUBLISHED = {"FCN-32s": 59.4, "FCN-16s": 62.4, "FCN-8s": 62.7}
"""Mean IoU in percent on the VOC 2011 validation subset of 736 images (Long et al. 2015, table 2)."""


def multiply_adds() -> dict[str, int]:
    """What classifying every pixel costs patch by patch and densely, of the same network.

    Densely, the margin that is mirrored around the image costs as well, the less the larger the image.
    """
    with torch.device("meta"):
        network = patch_net(_CLASSES, channels=_BANDS, image_hw=(_PATCH_SIDE, _PATCH_SIDE)).eval()
    moved = dense(network, outputs=_CLASSES, channels=_BANDS, image_hw=(_PATCH_SIDE, _PATCH_SIDE))
    of_patch = cost_of(network, channels=_BANDS, image_hw=(_PATCH_SIDE, _PATCH_SIDE)).multiply_adds
    # a side^2 + b side + c: the second difference of three sides is 2 a, and a pixel costs a without the margin.
    first, second, third = (
        cost_of(moved, channels=_BANDS, image_hw=(side, side)).multiply_adds
        for side in (_IMAGE_SIDE, _IMAGE_SIDE + 1, _IMAGE_SIDE + 2)
    )
    of_pixel = (first - 2 * second + third) // 2
    return {
        "a patch": of_patch,
        "all patches": of_patch * _IMAGE_SIDE**2,
        "dense": of_pixel * _IMAGE_SIDE**2,
        "dense, with the margin": first,
    }


def largest_difference(seed: int) -> float:
    """Between the logits of both ways at every pixel of a random image, weights random and the same."""
    with torch_randomness(seed, "tour", "segmentation"), torch.inference_mode():
        network = patch_net(_CLASSES, channels=3, image_hw=(_SMALL_PATCH, _SMALL_PATCH)).double().eval()
        image = torch.rand(1, 3, *_SMALL_IMAGE, dtype=torch.float64)
        ways = [
            build(network, outputs=_CLASSES, channels=3, image_hw=(_SMALL_PATCH, _SMALL_PATCH)).eval()
            for build in (patch, dense)
        ]
        by_patch, at_once = (way.score(way.encode(image), _SMALL_IMAGE) for way in ways)
    return float((by_patch - at_once).abs().max())


def _compute(seed: int) -> Section:
    costs, difference = multiply_adds(), largest_difference(seed)
    ratio, with_margin = costs["all patches"] / costs["dense"], costs["dense, with the margin"]
    numbers: dict[str, Any] = {
        "multiply-adds": costs,
        "times less arithmetic": round(ratio, 1),
        "largest difference of logits": difference,
        "stored, times faster": DENSE_OVER_PATCH_TIMES,
        "stored, mean IoU on CamVid": {rung.name: rung.quality for rung in CAMVID_U_NET.rungs},
        "stored, seconds on CamVid": {rung.name: rung.seconds for rung in CAMVID_U_NET.rungs},
        "published, mean IoU on VOC 2011": PUBLISHED,
        "conditions": [CAMVID_U_NET.words()],
    }
    scheme = Figure(
        svg=draw_scheme("segmentation-scheme", _SCHEME, description="five ways to a map of classes, as rows of boxes"),
        caption="From the image to a class for every pixel. Marked: what a rung replaces of the one above.",
    )
    rows = (
        ("patch by patch", f"{costs['all patches'] / 1e12:.1f}", ""),
        ("dense", f"{costs['dense'] / 1e12:.4f}", f"{ratio:.0f} times less"),
        (
            "dense, mirrored margin too",
            f"{with_margin / 1e12:.4f}",
            f"{costs['all patches'] / with_margin:.0f} times less",
        ),
    )
    caption = (
        f"Million million multiply-adds for {_IMAGE_SIDE} x {_IMAGE_SIDE} pixels of {_BANDS} bands, counted now: a "
        f"patch of {_PATCH_SIDE} x {_PATCH_SIDE} takes {costs['a patch'] / 1e6:.1f} million. Both ways run now on a "
        f"small random image: their logits differ by {difference:.0e} at most. Time was {DENSE_OVER_PATCH_TIMES:g} "
        f"times less on 128 x 128 pixels of RGB (measured in {DATE} on {MACHINE}, by "
        "benchmarks/dense_evaluation.py, other work beside)."
    )
    table = Table(columns=("way", "arithmetic", ""), rows=rows, caption=caption)
    return Section(figures=(scheme, _bars()), tables=(table,), numbers=numbers)


def _bars() -> Figure:
    ours = {f"U-Net, {rung.seconds or 0:.0f} s": rung.quality for rung in CAMVID_U_NET.rungs}
    with tour_style("segmentation-bars"):
        chart = Chart(figsize=(WIDTH, 2.9), layout="constrained")
        published, measured = chart.subplots(2, 1, sharex=True, height_ratios=[3, 2])
        for axes, values, colour, title in (
            (published, PUBLISHED, ORANGE, "published, VOC 2011"),
            (measured, ours, BLUE, "measured by convolve, CamVid"),
        ):
            bars = axes.barh(list(values), list(values.values()), 0.6, color=colour)
            axes.bar_label(bars, fmt="%g", padding=3, color=INK)
            axes.invert_yaxis()
            axes.set_title(title, fontsize=10, loc="left")
            axes.set_xlim(0, 75)
            axes.tick_params(axis="y", labelcolor=INK)
            axes.grid(visible=False, axis="y")
        measured.set_xlabel("mean IoU, %")
        svg = themed(chart, "mean IoU of FCN-32s, 16s and 8s as published, and of U-Net as measured")
    return Figure(
        svg=svg,
        caption="Two data sets, so the two halves are not comparable. Above: VGG-16, 736 validation images, the "
        f"paper's table 2. Below: {CAMVID_U_NET.words()}",
    )


TOPICS.add(
    "segmentation",
    Topic(
        name="segmentation",
        order=210,
        title="From patches to maps",
        idea="Asking a classifier about the patch around every pixel does nearly all work again and again; moved over "
        "the image, the same weights give the same answers at once. Fully convolutional networks are trained that way "
        "from end to end, and join coarse maps that know what with fine ones that know where.",
        code="convolve ladder segment streets/ --budget 1h",
        source="Sermanet et al., ICLR 2014; Long, Shelhamer and Darrell, CVPR 2015; Ronneberger et al., MICCAI 2015; "
        "Kampffmeyer, Salberg and Jenssen, CVPR Workshops 2016",
        compute=_compute,
    ),
)
