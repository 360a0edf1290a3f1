"""What a run says of itself: how many numbers and images it learned from, and how."""

import pytest
from bs4 import BeautifulSoup

from convolve.deploy.model import load_model
from convolve.progress import silent
from convolve.workflow.recipes import recipe_from
from convolve.workflow.train import train

SETTINGS = ["network=residual", "network.options.depth=8", "budget=none", "augment=none", "folds=0"]


def trained(out, *settings):
    recipe = recipe_from("digits", [*SETTINGS, *settings])
    return train(recipe, out=out, progress=silent, say=lambda sentence: None)


def methods(run):
    return " ".join(BeautifulSoup(run.report.read_text(), "html.parser").text.split())


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVOLVE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("first") / "run", "epochs=1")


def told(run):
    """(numbers trained, images learned from, those numbers as the report has them)."""
    results, model = run.read("results"), load_model(run.model)
    assert model.facts["train_images"] == results["train_images"]
    assert f"of which {results['trained_parameters']:,} were trained" in methods(run)
    return results["trained_parameters"], results["train_images"], model.network


def rows(run, split):
    return [line.split(",")[1] for line in run.split.read_text().splitlines()].count(split)


def test_scratch_trains_everything_on_the_training_images(first):
    numbers, images, network = told(first)
    assert numbers == sum(parameter.numel() for parameter in network.parameters())
    assert images == rows(first, "train")
    assert "All of its parameters were trained from random values." in methods(first)


@pytest.mark.parametrize(
    ("classifier", "words"),
    [
        ("logistic", "a logistic regression was fitted to its last features joined with the means of the maps of"),
        ("nearest-neighbours", "a vote of nearest neighbours was fitted"),
        ("rbf-svm", "a support vector machine with Gaussian kernel was fitted"),
    ],
)
def test_features_count_what_was_fitted_on_joined_layers(first, tmp_path, classifier, words):
    options = [f"start.options.classifier={classifier}", "start.options.symmetry=mirror", "data.per_class=20"]
    run = trained(tmp_path / "run", f"weights={first.model}", "start=features", *options)
    numbers, images, network = told(run)
    tensors = network.head.state_dict()
    expected = {
        "logistic": lambda: 10 * network.features + 10,
        "nearest-neighbours": lambda: 0,
        "rbf-svm": lambda: tensors["coefficients"].numel() + 45,
    }
    assert numbers == expected[classifier]()
    assert images == 200 == rows(run, "train") + rows(run, "validation")
    page = methods(run)
    assert words in page
    assert "means over 2 mirrored or turned copies of each image" in page
    assert "Training and validation images (200) were fitted on together" in page
    assert "chosen by cross-validation" in page
    assert "160 images for training, 40 images for validation" in page
    unlabelled = rows(run, "unlabelled")
    assert f"The labels of {unlabelled:,} images were used neither for training nor for choosing." in page


def test_finetuning_counts_the_stages_that_were_trained(first, tmp_path):
    options = ["start.options.stages=1", "start.options.symmetry=turns", "epochs=1", "lr=0.01"]
    run = trained(tmp_path / "run", f"weights={first.model}", "start=finetune", *options)
    numbers, images, network = told(run)
    assert 650 < numbers < sum(parameter.numel() for parameter in network.parameters())
    assert images == rows(run, "train")
    page = methods(run)
    assert "Of its stages, the last 1 and the head were fine-tuned, and those below left as they were." in page
    assert "In prediction, features were means over 8 mirrored or turned copies of each image." in page


def test_a_classifier_that_was_kept_is_not_said_to_be_an_epochs(first, tmp_path):
    run = trained(tmp_path / "run", f"weights={first.model}", "start=finetune", "epochs=2", "lr=0.5")
    page = methods(run)
    assert "Fine-tuning improved nothing on the validation images, so this classifier was kept." in page
    assert "The weights of epoch" not in page


def test_pretraining_counts_and_is_said(tmp_path):
    settings = ["start=unsupervised", "start.options.epochs=1", "data.per_class=5"]
    run = trained(tmp_path / "run", *settings)
    numbers, images, network = told(run)
    backbone = sum(parameter.numel() for parameter in network.backbone.parameters())
    assert numbers == backbone + 10 * network.features + 10
    assert images == 50
    assert "images without their labels (vicreg, epochs: 1). The backbone was left as it was" in methods(run)
