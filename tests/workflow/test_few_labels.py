"""`data.per_class`: few labels for training and choosing together, the others count as unlabelled."""

import numpy as np
import pytest

from convolve.errors import UserError
from convolve.progress import silent
from convolve.recipe.file import make_recipe
from convolve.workflow.data import inner_folds, members, open_data
from convolve.workflow.plan import plan_data
from convolve.workflow.planning import prepare_planned


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVOLVE_CACHE", str(tmp_path_factory.mktemp("cache")))
        recipe = make_recipe({"data": {"path": "digits"}, "network": {"name": "mlp", "weights": "none"}, "folds": 0})
        opened = open_data(recipe.data, silent)
        choices, preprocessing, _ = plan_data(recipe, opened.dataset, opened.survey)
        yield prepare_planned(choices.recipe, opened, preprocessing, silent)


def counts(prepared, rows):
    return np.bincount([prepared.dataset.samples[row].target.index for row in rows], minlength=10).tolist()


@pytest.mark.parametrize(("per_class", "train", "validation"), [(2, 1, 1), (5, 4, 1), (10, 8, 2), (20, 16, 4)])
@pytest.mark.parametrize("folds", [0, 3])
def test_so_many_labels_a_class_train_and_choose(prepared, per_class, train, validation, folds):
    for few, full in zip(
        members(prepared, folds=folds, seeds=1, seed=1, validation=0.2, per_class=per_class),
        members(prepared, folds=folds, seeds=1, seed=1, validation=0.2),
        strict=True,
    ):
        assert counts(prepared, few.train) == [train] * 10
        assert counts(prepared, few.validation) == [validation] * 10
        assert set(few.train) <= set(full.train)
        assert set(few.validation) <= set(full.validation)
        assert few.held_out.tolist() == full.held_out.tolist()
        everything = np.concatenate([few.train, few.validation, few.unlabelled])
        assert sorted(everything) == sorted([*full.train, *full.validation])
        assert not set(few.unlabelled) & set(few.held_out)


def test_whoever_is_among_few_is_among_more_and_the_seed_decides(prepared):
    def train(per_class, seed):
        return set(members(prepared, folds=0, seeds=1, seed=seed, validation=0.2, per_class=per_class)[0].train)

    assert train(5, 0) < train(10, 0)
    assert train(10, 0) == train(10, 0)
    assert train(10, 0) != train(10, 1)


def test_one_label_cannot_both_train_and_choose(prepared):
    with pytest.raises(UserError, match=r"data\.per_class=1"):
        members(prepared, folds=0, seeds=1, seed=0, validation=0.2, per_class=1)


def test_the_folds_of_few_labels_part_every_class(prepared):
    (few,) = members(prepared, folds=0, seeds=1, seed=0, validation=0.2, per_class=2)
    folds = inner_folds(prepared, few)
    labelled = np.concatenate([few.train, few.validation])
    for name in range(10):
        of_class = [row for row in labelled if prepared.dataset.samples[row].target.index == name]
        assert len(set(folds[of_class])) == 2
