from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from convolve.errors import UserError
from convolve.networks.catalogue import find_architecture
from convolve.see.inside.gallery import Gallery
from convolve.see.inside.instruments import INSTRUMENTS, Look
from convolve.see.inside.separability import affordable_images, probe_layers
from convolve.see.inside.unit_maps import multiply_adds
from see.inside.galleries import coloured
from see.inside.subjects import small_subject


def striped(count=40, side=24):
    """Upright and level stripes of one pixel: of one mean, told apart only by a layer that looks for edges."""
    generator = np.random.default_rng(2)
    upright = np.where(np.arange(side) % 2, 200, 50)[None, :].repeat(side, axis=0)
    images = np.stack([upright if row % 2 else upright.T for row in range(count)])[..., None]
    noisy = np.clip(images + generator.integers(-30, 30, (count, side, side, 1)), 0, 255).astype(np.uint8)
    return Gallery(noisy, [str(row) for row in range(count)], ["level", "upright"] * (count // 2), "striped")


def edge_network():
    """A mean of pixels first, edges behind the first pooling."""
    mean = nn.Conv2d(1, 1, 1)
    edges = nn.Conv2d(1, 1, (1, 2), stride=2)
    with torch.no_grad():
        mean.weight.fill_(1.0)
        mean.bias.zero_()
        edges.weight.copy_(torch.tensor([[[[1.0, -1.0]]]]))
        edges.bias.zero_()
    body = nn.Sequential(mean, edges)
    network = nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2)).eval()
    return replace(small_subject(channels=1), network=network, body=body, classes=("level", "upright"))


def test_classes_come_apart_where_a_layer_looks_for_what_differs():
    gallery = striped()
    first, second = probe_layers(edge_network(), gallery, rows=range(len(gallery)), seed=0).probes
    assert (first.layer.map_hw, second.layer.map_hw) == ((24, 24), (12, 12))
    # Five folds of eight: a coin is right in 50 % +- 16 % of 40.
    assert first.accuracy < 0.8
    assert second.accuracy == 1.0
    assert second.spread == 0.0


def test_the_panel_names_the_layer_and_what_was_left_out():
    gallery = striped()
    truths = [*gallery.truths[:-2], "rare", "rare"]
    panel = INSTRUMENTS["separability"].run(edge_network(), Look(gallery=replace(gallery, truths=truths)))
    assert "Best 100% at '1'" in panel.words
    assert "Left out, with fewer than 5 images: rare" in panel.words
    assert panel.numbers["images"] == 38
    assert panel.numbers["by_chance"] == 0.5
    assert len(panel.charts) == 1
    again = INSTRUMENTS["separability"].run(edge_network(), Look(gallery=replace(gallery, truths=truths)))
    assert again.numbers == panel.numbers


def test_what_cannot_be_probed():
    gallery = striped(10)
    run = INSTRUMENTS["separability"].run
    with pytest.raises(UserError, match="two classes"):
        run(edge_network(), Look(gallery=replace(gallery, truths=())))
    with pytest.raises(UserError, match="two classes of at least 5 images each; so many: level"):
        run(edge_network(), Look(gallery=replace(gallery, truths=["level"] * 8 + ["upright"] * 2)))
    with pytest.raises(UserError, match="no images"):
        run(edge_network(), Look())
    mlp = find_architecture("mlp").create(2, channels=3, image_hw=(24, 24)).eval()
    with pytest.raises(UserError, match="no convolution"):
        run(replace(small_subject(), network=mlp, body=mlp.backbone), Look(gallery=coloured(side=24)))


def test_large_networks_are_probed_with_fewer_images():
    small = edge_network()
    # 24 * 24 + 12 * 12 * 2 products and, behind the maps, 1 * 2.
    assert multiply_adds(small) == 576 + 288 + 2
    assert affordable_images(small, 1000) == 1000
    # 4000 * 4000 + 2000 * 2000 * 2 + 2 of them: 4,166.7 images for 100 thousand million.
    assert affordable_images(replace(small, image_hw=(4000, 4000)), 10_000) == 4166
