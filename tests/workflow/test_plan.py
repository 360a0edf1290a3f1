import pytest

from convolve.data.dataset import ClassLabel, Dataset, Sample
from convolve.errors import UserError
from convolve.recipe.file import make_recipe
from convolve.workflow.budget import keep_budget, keep_pretraining_budget
from convolve.workflow.build import check_names
from convolve.workflow.plan import _mixes
from convolve.workflow.recipes import recipe_from
from convolve.workflow.testing import with_classes
from workflow.pictures import QUICK


@pytest.mark.parametrize(
    ("budget", "trainings", "epochs"), [("10s", 1, 20), ("4s", 1, 8), ("4s", 4, 2), ("0.1s", 1, 1), ("none", 9, 20)]
)
def test_the_budget_is_for_all_trainings_together(budget, trainings, epochs):
    recipe = make_recipe({"data": "digits", "train": {"epochs": 20}, "budget": budget})
    # 100 images at 200 a second: half a second an epoch.
    choices = keep_budget(recipe, seconds=lambda epochs: epochs * 100 / 200, trainings=trainings)
    assert choices.recipe.train.epochs == epochs
    assert ("train.epochs" in choices.reasons) == (epochs < 20)


def test_what_comes_before_a_training_leaves_it_a_share_of_the_budget():
    recipe = make_recipe({"data": "digits", "train": {"epochs": 20}, "budget": "10s"})
    choices = keep_budget(recipe, seconds=lambda epochs: epochs / 2, trainings=1, share=0.4)
    assert choices.recipe.train.epochs == 8


@pytest.mark.parametrize(("budget", "told"), [("10s", True), ("none", False)])
def test_a_share_of_the_budget_is_told_where_there_is_one(budget, told):
    recipe = make_recipe({"data": "digits", "start": "unsupervised", "budget": budget})
    choices = keep_pretraining_budget(recipe, images=5000, images_per_second=1000, trainings=1)
    assert ("60% of the budget" in choices.reasons["start.options"]) == told


def test_later_settings_win_and_a_setting_may_name_the_data():
    recipe = recipe_from("data=digits", ["epochs=3", "network=mlp", "epochs=4"])
    assert (recipe.data.path, recipe.train.epochs, recipe.network.name) == ("digits", 4, "mlp")
    with pytest.raises(UserError, match="'junk' is not key=value"):
        recipe_from("digits", ["junk"])


def test_names_are_checked_without_any_data():
    settled = ["network.weights=none", "start=scratch", "optimiser=sgd"]
    check_names(recipe_from("nowhere", [*QUICK, *settled]))
    with pytest.raises(UserError, match="unknown option 'momentun'"):
        check_names(recipe_from("nowhere", [*QUICK, *settled, "optimiser.options.momentun=1"]))


def test_classes_are_matched_by_name_never_by_number():
    samples = tuple(Sample(name=name, image=None, target=ClassLabel(index)) for name, index in (("x", 0), ("y", 1)))
    dataset = Dataset(name="other", form="test", classes=("dog", "fox"), samples=samples)
    moved = with_classes(dataset, ("cat", "dog", "fox"))
    assert [sample.target for sample in moved.samples] == [ClassLabel(1), ClassLabel(2)]
    with pytest.raises(UserError, match="does not know the labels fox"):
        with_classes(dataset, ("cat", "dog"))


def test_a_mixing_augmentation_that_is_switched_off_mixes_nothing():
    assert not _mixes({"preset": "none", "mixup": False, "rotate": 5.0})
    assert _mixes({"preset": "none", "mixup": True})
