from dataclasses import replace

import numpy as np
import pytest
from bs4 import BeautifulSoup
from sklearn.neighbors import NearestNeighbors

from convolve.errors import UserError
from convolve.see.inside.embedding import (
    embedded,
    misfits,
    near_on_map,
    neighbour_rows,
    perplexity_of,
    same_class_share,
)
from convolve.see.inside.instruments import INSTRUMENTS, Look
from see.inside.galleries import coloured
from see.inside.subjects import small_subject


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVOLVE_CACHE", str(tmp_path))


def clusters(count=30):
    generator = np.random.default_rng(0)
    centres = np.repeat([[5.0] * 4 + [0.0] * 4, [0.0] * 4 + [5.0] * 4], count, axis=0)
    return (centres + generator.normal(0, 0.5, (2 * count, 8))).astype(np.float32), ["a"] * count + ["b"] * count


def test_two_far_groups_are_apart_on_the_map_and_it_repeats_bit_for_bit():
    features, truths = clusters()
    places = embedded(features, seed=3)
    assert same_class_share(near_on_map(places)[:, None], truths) == 1.0
    assert same_class_share(neighbour_rows(features), truths) == 1.0
    assert np.array_equal(places, embedded(features, seed=3))


def test_neighbours_are_those_of_scikit_learn():
    features, _ = clusters(12)
    scaled = (features - features.mean(axis=0)) / features.std(axis=0)
    searched = NearestNeighbors(n_neighbors=10, metric="cosine").fit(scaled)
    assert np.array_equal(neighbour_rows(features), searched.kneighbors(return_distance=False))


def test_a_wrong_label_is_found_and_a_border_case_is_not():
    truths = ["a"] * 11 + ["b"] * 11
    neighbours = np.array([[other for other in range(11) if other != row] for row in range(11)])
    neighbours = np.vstack([neighbours, neighbours + 11])
    assert misfits(neighbours, truths) == ()
    truths[3] = "b"
    (odd,) = misfits(neighbours, truths)
    assert (odd.row, odd.other, odd.agreeing) == (3, "a", 10)
    # Two neighbours of its own class are company enough.
    assert misfits(neighbours, ["b" if row in (3, 4, 5) else truth for row, truth in enumerate(truths)]) == ()
    assert misfits(neighbours, [""] * 22) == ()


def test_shares_of_neighbours_by_hand():
    assert same_class_share(np.array([[1, 2], [0, 2], [0, 1]]), ["a", "a", "b"]) == pytest.approx(2 / 6)
    # Those without a class count neither as image nor as neighbour.
    assert same_class_share(np.array([[1, 2], [0, 2], [0, 1]]), ["a", "a", ""]) == 1.0
    assert same_class_share(np.array([[1], [0]]), ["", ""]) is None


def test_the_panel_tells_shares_and_lists_the_misfit():
    gallery = coloured(20, side=24)
    truths = list(gallery.truths)
    truths[6] = "bright"
    panel = INSTRUMENTS["embedding-map"].run(small_subject(), Look(gallery=replace(gallery, truths=truths)))
    assert [one["image"] for one in panel.numbers["misfits"]] == ["6.png"]
    assert panel.table[1] == [("6.png", "bright", "dark", "10 of 10")]
    # Of 40 images, 21 and 19: (21 * 20 + 19 * 18) / (40 * 39) pairs agree.
    assert panel.numbers["by_chance"] == pytest.approx((420 + 342) / 1560)
    # All but one have 10 neighbours of their group; the odd one is a neighbour to some.
    assert 0.9 < panel.numbers["same_class_neighbours"] < 1
    assert "distances between far groups" in panel.words
    svg = BeautifulSoup(panel.charts[0], "html.parser")
    texts = {text.get_text(strip=True) for text in svg.find_all("text")}
    assert {"bright (21)", "dark (19)", "unlike its neighbours"} <= texts


def test_images_without_classes_and_many_classes():
    gallery = coloured(20, side=24)
    unknown = INSTRUMENTS["embedding-map"].run(small_subject(), Look(gallery=replace(gallery, truths=())))
    assert "not known" in unknown.words
    assert unknown.numbers["same_class_neighbours"] is None
    many = [f"<class {row}>" for row in range(20) for _ in range(2)]
    panel = INSTRUMENTS["embedding-map"].run(small_subject(), Look(gallery=replace(gallery, truths=many)))
    assert "other classes (12)" in panel.charts[0]


def test_too_few_images_or_features_that_are_all_the_same():
    with pytest.raises(UserError, match="10 images"):
        INSTRUMENTS["embedding-map"].run(small_subject(), Look(gallery=coloured(4, side=24)))
    with pytest.raises(UserError, match="same features"):
        embedded(np.ones((12, 5), np.float32), seed=0)


def test_perplexity_is_below_the_number_of_images():
    assert [perplexity_of(count) for count in (10, 31, 1500)] == [3, 10, 30]
    assert embedded(clusters(5)[0], seed=0).shape == (10, 2)
    assert embedded(clusters(6)[0][:, :1], seed=0).shape == (12, 2)
