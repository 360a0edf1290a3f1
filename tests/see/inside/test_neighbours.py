from dataclasses import replace

import numpy as np
import pytest
import torch

from convolve.data import cache
from convolve.errors import UserError
from convolve.networks.catalogue import find_architecture
from convolve.see.inside.features import features_of, gallery_features
from convolve.see.inside.instruments import INSTRUMENTS, Look
from convolve.see.inside.neighbours import nearest_images
from convolve.see.inside.subject import Question
from see.inside.galleries import coloured
from see.inside.subjects import small_subject


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVOLVE_CACHE", str(tmp_path))


def subject_16():
    return replace(small_subject(), image_hw=(16, 16), classes=("dark", "bright", "other"))


def network_of(name, **options):
    network = find_architecture(name).create(3, channels=3, image_hw=(16, 16), options=options).eval()
    return replace(subject_16(), network=network, body=network.backbone)


def ask(subject, image, gallery, **options):
    question = Question(image=image, name="asked", wanted=1)
    return INSTRUMENTS["nearest-images"].run(subject, question, Look(gallery=gallery), **options)


def test_order_and_distances_agree_with_a_loop():
    subject, gallery = subject_16(), coloured()
    asked = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(1))
    features = [features_of(subject, gallery.tensor([row]))[0].double().numpy() for row in range(len(gallery))]
    own = features_of(subject, asked[None])[0].double().numpy()
    width = len(own)
    mean = [sum(feature[d] for feature in features) / len(features) for d in range(width)]
    deviation = [
        (sum((feature[d] - mean[d]) ** 2 for feature in features) / len(features)) ** 0.5 or 1.0 for d in range(width)
    ]

    def distance(left, right):
        a, b = ([(value - m) / s for value, m, s in zip(one, mean, deviation, strict=True)] for one in (left, right))
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        return 1 - dot / (sum(x * x for x in a) ** 0.5 * sum(y * y for y in b) ** 0.5)

    expected = sorted((distance(own, feature), row) for row, feature in enumerate(features))[:5]
    found = nearest_images(subject, asked, gallery, most=5)
    assert [one.row for one in found.nearest] == [row for _, row in expected]
    assert [one.distance for one in found.nearest] == pytest.approx([value for value, _ in expected], abs=1e-5)
    usual = sorted(
        min(distance(left, right) for column, right in enumerate(features) if column != row)
        for row, left in enumerate(features)
    )
    assert found.usual == pytest.approx(usual, abs=1e-5)


@pytest.mark.parametrize(
    "subject", [subject_16(), network_of("residual"), network_of("mlp")], ids=["other", "residual", "mlp"]
)
def test_an_image_of_the_gallery_is_its_own_nearest_at_distance_0(subject):
    gallery = coloured()
    found = nearest_images(subject, gallery.tensor([5])[0], gallery)
    assert (found.nearest[0].row, found.nearest[0].distance, found.nearest[0].same) == (5, 0.0, True)
    assert not any(one.same for one in found.nearest[1:])


def test_agreement_is_counted_without_the_image_itself():
    gallery = coloured()
    panel = ask(subject_16(), gallery.tensor([5])[0], gallery)
    assert panel.numbers["agreeing"] == panel.numbers["compared"] == 7
    assert "7 of the 7 nearest are 'bright'." in panel.words
    assert "as 5.png" in panel.words
    assert len(panel.pictures) == 8
    assert panel.pictures[0].caption == "5.png: bright, distance 0.000"
    dark = ask(subject_16(), gallery.tensor([4])[0], gallery)
    assert "0 of the 7 nearest are 'bright' (they are: 7 dark)" in dark.words


def test_of_several_classes_one_that_fits_counts():
    gallery = coloured(4)
    both = replace(gallery, truths=["dark + bright", "bright", "dark", "other"] * 2)
    subject = replace(subject_16(), several=True)
    panel = ask(subject, torch.rand(3, 16, 16), both, most=8)
    assert panel.numbers["agreeing"] == 4


def test_an_image_unlike_all_others_is_said_to_be_so():
    subject, gallery = subject_16(), coloured()
    checks = ((torch.arange(16)[:, None] + torch.arange(16)) % 2).float().expand(3, 16, 16)
    assert "unlike them" in ask(subject, checks, gallery).words
    assert "unlike them" not in ask(subject, gallery.tensor([5])[0], gallery).words


def test_a_networks_features_are_what_enters_its_head():
    subject, gallery = network_of("residual"), coloured(3)
    images = gallery.tensor(range(6))
    with torch.no_grad():
        expected = subject.network.backbone(subject.normalise(images))
    assert torch.allclose(features_of(subject, images), expected, atol=1e-6)
    assert np.allclose(gallery_features(subject, gallery), expected.numpy(), atol=1e-5)


def test_features_are_computed_once_and_again_for_other_weights_images_or_preprocessing():
    subject, gallery = network_of("mlp", hidden=(8,)), coloured(3)
    told = []

    def count(one, of, rows=None):
        told.clear()
        gallery_features(one, of, rows=rows, progress=lambda *progress: told.append(progress))
        return len(told)

    assert count(subject, gallery) == 1
    assert count(subject, gallery) == 0
    assert count(subject, replace(gallery, key="other")) == 1
    assert count(subject, gallery, rows=[0, 2]) == 1
    assert count(replace(subject, normalise=lambda images: images - 0.1), gallery) == 1
    with torch.no_grad():
        subject.network.backbone[1].weight[0, 0] += 1
    assert count(subject, gallery) == 1


def test_a_damaged_entry_is_computed_again():
    subject, gallery = subject_16(), coloured(3)
    expected = gallery_features(subject, gallery)
    (entry,) = cache.entries()
    file = cache.cache_folder() / entry.kind / entry.key / "features.npy"
    file.write_bytes(file.read_bytes()[:40])
    assert np.array_equal(gallery_features(subject, gallery), expected)


def test_numbers_that_are_none_and_sizes_that_differ():
    subject = subject_16()
    with pytest.raises(UserError, match="20 x 20"):
        ask(subject, torch.rand(3, 20, 20), coloured())
    with pytest.raises(UserError, match="no images to look through"):
        ask(subject, torch.rand(3, 16, 16), None)
    with torch.no_grad():
        subject.body[0].weight[0] = float("nan")
    with pytest.raises(UserError, match="no numbers"):
        ask(subject, torch.rand(3, 16, 16), coloured())
    assert cache.entries() == []
