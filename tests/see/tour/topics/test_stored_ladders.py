"""The ladders of transfer, segmentation and detection: figures as they were written down, with their conditions."""

import pytest

from convolve.see.tour import measured
from convolve.see.tour.measured import Run
from convolve.see.tour.topics.segmentation import largest_difference, multiply_adds
from see.tour.topics.sections import section_of

RUNS = [value for value in vars(measured).values() if isinstance(value, Run)]


def test_every_run_tells_its_conditions():
    assert len(RUNS) == 5
    for run in RUNS:
        words = run.words()
        for part in (measured.MACHINE, measured.DATE, run.data, run.command, run.conditions, "not computed now"):
            assert part in words
        assert all(0 < rung.quality < 100 for rung in run.rungs)
        assert all(rung.seconds is None for rung in run.rungs) or run.timed


@pytest.mark.parametrize("name", ["transfer", "segmentation", "detection"])
def test_stored_figures_come_with_their_conditions_on_the_page(name):
    section = section_of(name)
    captions = " ".join([figure.caption for figure in section.figures] + [table.caption for table in section.tables])
    assert section.numbers["conditions"]
    for words in section.numbers["conditions"]:
        assert words in captions


def test_transfer_as_measured():
    numbers = section_of("transfer").numbers
    expected = {"scratch": 74.1, "unsupervised": 78.2, "finetune": 86.6, "features": 87.7}
    assert numbers["stored, accuracy on ELPV"] == expected
    assert numbers["stored, accuracy on MNIST with 10 labels a class"] == {"scratch": 86.6, "unsupervised": 93.7}


def test_detection_as_measured_and_as_published():
    numbers = section_of("detection").numbers
    seconds = numbers["stored, network seconds an image"]
    assert seconds == {"rcnn": 14.4, "fast": 0.242, "faster": 0.134, "onestage": 0.107}
    assert round(seconds["rcnn"] / seconds["fast"]) == 60
    assert numbers["stored, proposal seconds an image"]["faster"] == 0.0084
    published = {name: figure["mAP"] for name, figure in numbers["published, VOC 2007"].items()}
    assert published == {"R-CNN": 66.0, "Fast R-CNN": 66.9, "Faster R-CNN": 69.9}


def test_dense_costs_155_times_less_than_patches():
    costs = multiply_adds()
    assert round(costs["a patch"] / 1e6, 1) == 57.3
    assert round(costs["all patches"] / 1e12, 1) == 15.0
    assert round(costs["dense"] / 1e12, 4) == 0.0968
    assert round(costs["all patches"] / costs["dense"]) == 155
    assert costs["dense, with the margin"] > costs["dense"]


@pytest.mark.parametrize("seed", [0, 1])
def test_patches_and_the_whole_image_give_equal_logits(seed):
    assert largest_difference(seed) < 1e-12


def test_published_mean_iou():
    numbers = section_of("segmentation").numbers
    expected = {"FCN-32s": 59.4, "FCN-16s": 62.4, "FCN-8s": 62.7}
    assert numbers["published, mean IoU on VOC 2011"] == expected
    assert numbers["stored, mean IoU on CamVid"] == {"unet, 4 epochs": 53.8, "unet, 19 epochs": 62.2}
