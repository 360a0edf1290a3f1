"""What a report says in words: caveats, methods, examples."""

import pytest
import torch

from convolve.see.report.caveats import caveats
from convolve.see.report.headline import sentence
from convolve.see.report.methods import methods_paragraph
from convolve.tasks.classify.one_label import OneLabel
from see.report.samples import RECIPE, one_label_results, sample

CLASSES = ("mono", "poly", "thin film")


def of_counts(right, wrong, classes=("common", "rare")):
    """Results of images of which class k has right[k] and wrong[k]; a wrong one is called the next class."""
    truth, named = [], []
    for index in range(len(classes)):
        truth += [index] * (right[index] + wrong[index])
        named += [index] * right[index] + [(index + 1) % len(classes)] * wrong[index]
    outputs = 4 * torch.nn.functional.one_hot(torch.tensor(named), len(classes)).float()
    return OneLabel(classes).results(outputs, torch.tensor(truth), temperature=1.0)


def said(**changes):
    return " ".join(caveats(sample(changes.pop("classes", ("common", "rare")), **changes)))


def test_few_images_are_named():
    words = said(results=of_counts([18, 17], [3, 3]))
    assert "rests on 41 images; one image more or less is 2.4 points" in words


@pytest.mark.parametrize(
    ("right", "wrong", "words"),
    [
        ([180, 0], [0, 20], "is not distinguishable from that"),
        ([100, 20], [80, 0], "is worse than that"),
        ([178, 18], [2, 2], "compare with the balanced accuracy"),
    ],
)
def test_a_figure_is_compared_with_always_answering_the_largest_class(right, wrong, words):
    found = said(results=of_counts(right, wrong))
    assert "Always answering 'common' would be right for 90.0 %" in found
    assert words in found


def test_balanced_classes_need_no_such_comparison():
    assert "Always" not in said(results=of_counts([150, 150], [10, 10]))


def test_a_score_that_chose_is_not_passed_off_as_a_test():
    results = of_counts([160, 160], [20, 20])
    words = "The validation accuracy of 88.9 % chose the model"
    assert words in said(results=results, split="validation", chosen_on_split=True)
    assert words not in said(results=results)


def test_classes_with_few_images_or_none_are_named():
    words = said(results=of_counts([150, 5, 0], [10, 1, 0], ("a", "b", "c")), classes=("a", "b", "c"))
    assert "Not one of these images shows c" in words
    assert "b: fewer than 10 images each" in words


def test_few_groups_are_named_instead_of_images():
    truth = torch.arange(300) % 2
    outputs = torch.nn.functional.one_hot(truth, 2).float()
    results = OneLabel(("common", "rare")).results(outputs, truth, temperature=1.0, groups=["x", "y", "z"] * 100)
    assert "The 300 images come from only 3 groups" in said(results=results)


def test_the_headline_of_the_brief():
    words = sentence(0.887, 372, "test", [0.853, 0.918], several_labels=False)
    assert words == "88.7 % of 372 test images right (95 % interval 85.3\N{EN DASH}91.8 %)"
    assert sentence(1.0, 1, "test", [0.2, 1.0], several_labels=False).startswith("100.0 % of 1 test image right")


def test_the_methods_paragraph_has_what_a_reviewer_asks_for():
    words = methods_paragraph(sample(CLASSES, results=one_label_results(CLASSES)))
    for fact in (
        "resnet18 (He et al., CVPR 2016; 11,178,051 parameters)",
        "It started from ImageNet-1k weights. All of its parameters were fine-tuned.",
        "RGB images of 96 x 128 pixels (height x width), scaled to fit and padded",
        "1,500 images for training, 270 images for validation, 372 images for testing",
        "12 epochs (adamw, peak learning rate 0.001, weight decay 0.05, batch size 32)",
        "augmented (flip)",
        "epoch 10 were kept, which had the best validation accuracy",
        "temperature scaling",
        "372 test images right",
        "2,000 resamples",
        "torch 2.14.0",
    ):
        assert fact in words


def test_values_left_to_the_program_are_not_given_as_numbers():
    recipe = RECIPE.replace("lr = 0.001", 'lr = "auto"')
    assert "learning rate" not in methods_paragraph(sample(CLASSES, recipe_toml=recipe))


def test_each_fold_has_its_own_temperature():
    results = one_label_results(CLASSES) | {"temperature": [1.25, 1.5]}
    assert "T = 1.250, 1.500;" in methods_paragraph(sample(CLASSES, results=results, split="out-of-fold"))
