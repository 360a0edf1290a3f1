import numpy as np
import pytest

from convolve.data.preprocessing import Preprocessing
from convolve.recipe.schema import DataSection
from convolve.workflow.data import members, open_data, prepare
from workflow.pictures import class_folders, picture, table


def quietly(what, done, total):
    """Progress that nobody watches."""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVOLVE_CACHE", str(tmp_path / "cache"))


def prepared_from(path, folds):
    opened = open_data(DataSection(path=str(path)), quietly)
    preprocessing = Preprocessing(image_hw=(8, 8), fit="pad", channels=3, mean=(0.5,) * 3, std=(0.5,) * 3)
    return prepare(opened, preprocessing, seed=0, folds=folds, validation=0.2, test=0.2, progress=quietly)


@pytest.mark.parametrize(("folds", "seeds", "count"), [(0, 1, 1), (0, 3, 3), (3, 1, 4), (3, 2, 7)])
def test_no_image_is_on_two_sides_of_a_training(folds, seeds, count, tmp_path):
    prepared = prepared_from(class_folders(tmp_path / "data", {"cat": 15, "dog": 15}), folds)
    trainings = members(prepared, folds=folds, seeds=seeds, seed=4, validation=0.2)
    assert len(trainings) == count
    for one in trainings:
        sides = np.concatenate([one.train, one.validation, one.held_out])
        assert len(set(sides.tolist())) == len(sides) == 30
        assert min(len(one.train), len(one.validation)) > 0


def test_the_folds_of_each_seed_hold_every_image_out_once(tmp_path):
    prepared = prepared_from(class_folders(tmp_path / "data", {"cat": 15, "dog": 15}), 3)
    trainings = members(prepared, folds=3, seeds=2, seed=4, validation=0.2)
    for seed in (4, 5):
        held_out = [one.held_out for one in trainings if one.name.startswith(f"seed-{seed}-")]
        assert len(held_out) == 3
        assert sorted(np.concatenate(held_out).tolist()) == list(range(30))
    assert (trainings[-1].name, len(trainings[-1].held_out)) == ("", 0)


def test_with_folds_a_given_test_split_is_never_learned_from(tmp_path):
    class_folders(tmp_path / "data" / "train", {"cat": 9, "dog": 9})
    class_folders(tmp_path / "data" / "test", {"cat": 3, "dog": 3}, first=20)
    prepared = prepared_from(tmp_path / "data", 3)
    test = set(prepared.rows("test").tolist())
    assert len(test) == 6
    trainings = members(prepared, folds=3, seeds=1, seed=0, validation=0.2)
    for one in trainings:
        assert not test & set(np.concatenate([one.train, one.validation]).tolist())
    assert set(trainings[-1].held_out.tolist()) == test


def test_neither_folds_nor_validation_split_a_group(tmp_path):
    for number in range(36):
        picture(tmp_path / f"{number:02}.png", number % 2, number)
    rows = [f"{number:02}.png,{'cd'[number % 2]},g{number // 3}" for number in range(36)]
    table(tmp_path, "path,label,group", rows)
    prepared = prepared_from(tmp_path / "labels.csv", 3)
    for one in members(prepared, folds=3, seeds=1, seed=0, validation=0.25):
        sides = [
            {prepared.dataset.samples[row].group for row in some} for some in (one.train, one.validation, one.held_out)
        ]
        assert sum(map(len, sides)) == len(set.union(*sides)) == 12


def test_broken_images_are_in_no_training(tmp_path):
    data = class_folders(tmp_path / "data", {"cat": 15, "dog": 15})
    (data / "cat" / "04.png").write_bytes(b"no image")
    prepared = prepared_from(data, 0)
    assert [problem.where for problem in prepared.problems] == ["cat/04.png"]
    one = members(prepared, folds=0, seeds=1, seed=0, validation=0.2)[0]
    names = {prepared.dataset.samples[row].name for row in np.concatenate([one.train, one.validation, one.held_out])}
    assert len(names) == 29
    assert "cat/04.png" not in names


def test_the_fingerprint_follows_content_and_labels(tmp_path):
    data = class_folders(tmp_path / "data", {"cat": 3, "dog": 3})
    section = DataSection(path=str(data))
    first = open_data(section, quietly).fingerprint
    assert open_data(section, quietly).fingerprint == first
    picture(data / "cat" / "00.png", 2, 99)
    second = open_data(section, quietly).fingerprint
    (data / "cat" / "01.png").rename(data / "dog" / "07.png")
    assert len({first, second, open_data(section, quietly).fingerprint}) == 3
