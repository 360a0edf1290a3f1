import tracemalloc

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from convolve.data.boxes.detections import Detections
from convolve.deploy.detection.prediction import as_regions
from convolve.deploy.detection.tiles import plan_tiles
from deploy.detection.small_detectors import SmallDetector, real_model, small_model


def scene(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Coarse noise: something to see everywhere."""
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, channels), np.uint8)
    return np.ascontiguousarray(coarse.repeat(8, axis=0).repeat(8, axis=1)[:height, :width])


def test_the_small_detector_reaches_no_farther_than_it_says():
    network = SmallDetector()
    images = torch.randn(1, 3, 128, 128, requires_grad=True)
    network.dense(images)[0][0, :, 8, 8].sum().backward()
    rows = images.grad[0].abs().sum(dim=(0, 2)).nonzero()[:, 0]
    assert 64 - network.reach <= int(rows.min()) <= int(rows.max()) <= 64 + network.reach


@pytest.mark.parametrize(("height", "width"), [(900, 1200), (1189, 667)])
def test_tiles_find_what_the_whole_image_shows(height, width):
    image = scene(height, width)
    side = max(height, width)
    whole = small_model(side, tile=side + 32).detect(image)
    assert len(whole.labels) > height * width / 20_000
    assert strangers(whole, small_model(side, tile=512).detect(image)).sum() == 0


@pytest.mark.slow
def test_tiles_find_what_twelve_megapixels_show_away_from_seams():
    """Next to a seam a box may go for one that goes for one ... that only the other tile sees: 2 of 24,542."""
    image = scene(3000, 4000)
    model = small_model(4000, tile=512)
    whole, tiled = small_model(4000, tile=4032).detect(image), model.detect(image)
    assert len(whole.labels) > 20_000
    overlap = model.prediction().overlap
    tiles = plan_tiles((3000, 4000), side=512, overlap=overlap, step=32)
    assert len(tiles) > 60
    for some, others in ((whole, tiled), (tiled, whole)):
        odd = strangers(some, others)
        assert odd.mean() < 1e-3
        centres = (some.corners[odd, :2] + some.corners[odd, 2:]) / 2
        for x, y in centres:
            to_seams = [abs(x - tile.core[0]) for tile in tiles] + [abs(y - tile.core[1]) for tile in tiles]
            assert min(to_seams) < overlap / 2


def strangers(some: Detections, others: Detections) -> np.ndarray:
    """(M,) bool: boxes that are not among the others, up to the rounding of convolutions on other sizes."""
    rows, columns = (
        torch.from_numpy(np.column_stack((found.corners, found.labels * 10.0, found.probabilities * 100)))
        for found in (some, others)
    )
    near = torch.cat([torch.cdist(part, columns, p=torch.inf).min(dim=1).values for part in rows.split(2000)])
    return (near > 0.02).numpy()


def test_seams_are_there_without_an_overlap():
    """The comparison above can fail: a tile that sees too little around its core finds other boxes."""
    image = scene(900, 1200)
    model = small_model(1200, tile=512)
    model.architecture["anchors"]["sizes"] = [1.0]
    model.network.reach = None
    whole = small_model(1200, tile=1232).detect(image)
    assert strangers(whole, model.detect(image)).sum() > 5


def test_one_object_seen_by_two_tiles_is_one_box():
    image = np.full((256, 1000, 3), 128, np.uint8)
    image[100:130, :] = 255
    model = small_model(1000, tile=256)
    found = model.detect(image)
    overlaps = box_iou(*[torch.from_numpy(found.corners)] * 2).fill_diagonal_(0)
    overlaps[torch.from_numpy(found.labels[:, None] != found.labels)] = 0
    assert len(found.labels) > 3
    assert overlaps.max() <= model.network.limits.nms_iou + 1e-6


@pytest.mark.slow
def test_one_tile_at_a_time_is_in_floats():
    image = scene(4000, 5000)
    model = small_model(5000, tile=512)
    model.detect(image[:600, :600])
    sizes = []
    dense = model.prediction().runs.dense
    model.prediction().runs.dense = lambda images: (sizes.append(images.numel()), dense(images))[1]
    tracemalloc.start()
    model.detect(image)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(sizes) > 80
    assert max(sizes) == 3 * 512 * 512
    assert peak < 2 * image.nbytes


@pytest.mark.parametrize("tile", [128, 64])
def test_given_regions_are_looked_at_once_each_wherever_they_lie(tile):
    model = real_model("fast", tile=tile)
    looked_at = []
    regions = model.prediction().runs.regions
    model.prediction().runs.regions = lambda features: (looked_at.append(len(features)), regions(features))[1]
    given = np.array([[0, 0, 60, 50], [90, 40, 128, 96], [10, 60, 30, 80], [0, 0, 128, 96]], float)
    model.detect(scene(96, 128), regions=given)
    assert sum(looked_at) == len(given)


def test_regions_at_the_inputs_scale():
    given = np.array([[10, 20, 30, 40], [-5, 0, 400, 400], [50, 50, 50, 60], [900, 0, 950, 10]])
    scaled = as_regions(given, (100, 200), (0.5, 0.25))
    assert scaled.tolist() == [[5, 5, 15, 10], [0, 0, 200, 100]]
    for bad in (np.zeros(4), np.zeros((2, 5)), np.array([[0, 0, np.nan, 1]])):
        with pytest.raises(ValueError, match="regions of shape"):
            as_regions(bad, (10, 10), (1, 1))
