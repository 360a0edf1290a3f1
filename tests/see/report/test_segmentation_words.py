"""What a report on masks says in words."""

import numpy as np
import pytest
from sklearn.metrics import jaccard_score

from convolve.see.report.segmentation_words import baseline, caveats, least_certain, methods_paragraph
from see.report.segmentation_samples import CLASSES, RECIPE, example, results_of, sample


def said(**changes):
    return " ".join(caveats(sample(**changes)))


def test_the_baseline_is_what_answering_the_commonest_class_scores():
    one = example(3)
    report = sample(results=results_of([one]))
    counted = one.truth[one.truth != 255]
    commonest = np.full_like(counted, np.bincount(counted).argmax())
    iou = jaccard_score(counted, commonest, average="macro")
    right = (counted == commonest).mean()
    words = baseline(report)
    assert f"a mean IoU of {100 * iou:.1f} %, with {100 * right:.1f} % of the pixels right" in words
    assert f"'{CLASSES[int(commonest[0])]}'" in words


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            [{"share": 0.05, "errors": 0.3}, {"share": 0.1, "errors": 0.421}],
            "The least certain 10 % of the pixels hold 42.1 %",
        ),
        ([{"share": 0.1, "errors": None}], ""),
        ([], ""),
        (None, ""),
    ],
)
def test_the_errors_among_the_least_certain_are_told_where_they_are_known(rows, words):
    assert least_certain({"least_certain": rows}).startswith(words)
    assert bool(least_certain({"least_certain": rows})) == bool(words)


def test_where_no_pixel_counts_there_is_nothing_to_compare_with():
    rows = [{**row, "pixels": 0, "share": 0.0} for row in results_of([example(0)])["per_class"]]
    results = results_of([example(0)], per_class=rows, pixels=0, pixel_accuracy=None, mean_iou=None, mean_iou_ci95=None)
    assert baseline(sample(results=results)) == ""
    assert "Not one of these images shows ground, tree, roof" in said(results=results)


def test_few_images_are_named_though_their_pixels_are_many():
    assert "rests on 4 images: pixels of one image are alike" in said()
    assert "rests on" not in said(results=results_of([example(seed) for seed in range(4)], n=60))


def test_classes_without_pixels_or_on_few_images_are_named():
    results = results_of([example(seed) for seed in range(4)], (*CLASSES, "lake"))
    words = said(classes=(*CLASSES, "lake"), results=results)
    assert "Not one of these images shows lake" in words
    assert "ground, tree, roof: on fewer than 5 images each" in words


def test_a_network_that_is_no_better_than_the_commonest_class_is_told_so():
    results = results_of([example(0)], pixel_accuracy=0.2)
    assert "would get as many pixels right or more" in said(results=results)


def test_pixels_left_out_are_told():
    eroded = RECIPE.replace("erode = 0", "erode = 3")
    assert "Pixels within 3 of a border" in said(recipe_toml=eroded)
    assert "of the pixels have no class" not in said()
    assert "50.0 % of the pixels have no class" in said(results=results_of([example(0)], pixels=10, ignored_pixels=10))


def test_a_score_that_chose_is_not_passed_off_as_a_test():
    words = "chose the model, so it is better than what new images will give"
    assert words in said(split="validation", chosen_on_split=True)
    assert words not in said()


def test_the_methods_have_what_a_paper_needs():
    words = methods_paragraph(sample())
    for part in (
        "resnet18 (He et al., CVPR 2016)",
        "one of 3 classes, by fcn-8s",
        "crops of 96 x 96 pixels, cut around classes that are drawn first, with softmax loss",
        "Training took 3 epochs (adamw, peak learning rate 0.001, batch size 4, median-frequency class weights).",
        "best validation mean IoU",
        "percentile bootstrap over 4 images, 2,000 resamples",
        "Software: convolve 0.1.0, torch 2.14.0.",
    ):
        assert part in words
