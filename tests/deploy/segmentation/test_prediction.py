import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data
from torch import Tensor

from convolve.data.dataset import IGNORE
from convolve.data.rasters import open_source
from convolve.deploy.segmentation.prediction import MapPrediction
from convolve.deploy.segmentation.uncertainty import Members
from convolve.errors import UserError
from convolve.networks.pixel_network import PixelNetwork
from convolve.randomness import torch_randomness
from convolve.training.compute import Compute
from deploy.segmentation.small_networks import ColourNetwork, SmallNetwork, preprocessing


def small(channels: int = 3, dropout: float | None = None) -> SmallNetwork:
    with torch_randomness(0, "test"):
        return SmallNetwork(channels=channels, dropout=dropout).eval()


def predicted(network: PixelNetwork, pixels, preparation=None, **options) -> np.ndarray:
    return maps(network, pixels, preparation, **options)[0]


def maps(network: PixelNetwork, pixels, preparation=None, **options):
    """Probabilities, labels, entropy and mutual information of all strips."""
    prediction = MapPrediction(
        network=network, classes=3, preprocessing=preparation or preprocessing(pixels.shape[2]), **options
    )
    with open_source(pixels) as source:
        strips = list(prediction.strips(source, name="test"))
    assert [strip.top for strip in strips] == np.cumsum([0, *(len(strip.labels) for strip in strips[:-1])]).tolist()
    information = [strip.mutual_information for strip in strips if strip.mutual_information is not None]
    return (
        np.concatenate([strip.probabilities for strip in strips], axis=1),
        np.concatenate([strip.labels for strip in strips]),
        np.concatenate([strip.entropy for strip in strips]),
        np.concatenate(information) if information else None,
    )


def directly(network: PixelNetwork, pixels, temperature: float = 1.0) -> np.ndarray:
    """What the network says of the whole image, without any of this package's code."""
    unit = torch.from_numpy(pixels.astype(np.float32) / 255).permute(2, 0, 1)[None]
    with torch.inference_mode():
        return torch.softmax(network.eval()((unit - 0.5) / 0.25) / temperature, dim=1)[0].numpy()


def noise(h: int, w: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(h * 1000 + w).integers(0, 256, (h, w, channels), dtype=np.uint8)


@given(h=st.integers(1, 150), w=st.integers(1, 150), tile=st.integers(30, 70))
@settings(max_examples=30, deadline=None)
def test_tiles_say_what_the_whole_image_says(h, w, tile):
    network, pixels = small(), noise(h, w)
    np.testing.assert_allclose(predicted(network, pixels, tile=tile), directly(network, pixels), atol=1e-5)


@pytest.mark.parametrize("layout", [Compute(), Compute(channels_last=True)])
def test_a_photo_by_tiles_is_the_photo_as_a_whole(layout):
    network, pixels = small(), data.astronaut()[:300, :413]
    found = predicted(network, pixels, tile=96, compute=layout, temperature=1.7)
    np.testing.assert_allclose(found, directly(network, pixels, 1.7), atol=1e-5)


def test_entropy_and_labels_follow_from_the_probabilities():
    probabilities, labels, entropy, information = maps(small(), noise(90, 70), tile=40)
    assert information is None
    assert np.array_equal(labels, probabilities.argmax(0))
    np.testing.assert_allclose(entropy, -(probabilities * np.log(probabilities)).sum(0), atol=1e-5)


class WithoutBound(SmallNetwork):
    """One whose reach is not known, so that tiles are blended."""

    reach = None


def test_where_the_reach_is_cut_the_blend_is_close_and_has_no_seams():
    with torch_randomness(0, "test"):
        network = WithoutBound()
    pixels = data.astronaut()
    found, whole = predicted(network, pixels, tile=128), directly(network, pixels)
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-5)
    # A sixteenth of 128, 8 pixels, is more than the 5 it truly sees.
    np.testing.assert_allclose(found, whole, atol=1e-5)


@pytest.mark.parametrize("views", ["mirror", "flips", "turns"])
def test_views_by_tiles_are_the_views_of_the_whole_where_sides_are_whole_strides(views):
    network, pixels = small(), noise(120, 86)
    tiled, whole = (predicted(network, pixels, tile=tile, members=Members(views=views)) for tile in (40, 500))
    np.testing.assert_allclose(tiled, whole, atol=1e-5)


def test_passes_draw_apart_in_every_tile():
    """A flat image shows the dropout alone: repeated from tile to tile it would be a pattern."""
    pixels = np.full((200, 40, 3), 200, np.uint8)
    probabilities, _, _, information = maps(small(dropout=0.5), pixels, tile=40, members=Members(passes=2))
    # 40 - 2 * 5 = 30 rows from one tile to the next.
    assert not np.allclose(probabilities[:, 40:60, 10:30], probabilities[:, 70:90, 10:30])
    assert information is not None
    assert (information >= 0).all()


def test_a_scaled_image_is_seen_small_and_its_logits_come_back_to_its_own_size():
    pixels = data.astronaut()[:256, :320]
    network = small()
    found = predicted(network, pixels, preprocessing(scale=0.5))
    unit = torch.from_numpy(pixels.astype(np.float32) / 255).permute(2, 0, 1)[None]
    halved = torch.nn.functional.interpolate(unit, (128, 160), mode="bilinear", antialias=True)
    with torch.inference_mode():
        logits = torch.nn.functional.interpolate(network((halved - 0.5) / 0.25), (256, 320), mode="bilinear")
    np.testing.assert_allclose(found, torch.softmax(logits, 1)[0].numpy(), atol=1e-5)


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_tiles_of_a_scaled_image_say_what_the_whole_says(scale):
    pixels = data.astronaut()[:256, :320]
    whole, tiled = (predicted(small(), pixels, preprocessing(scale=scale), tile=tile) for tile in (1000, 96))
    np.testing.assert_allclose(tiled, whole, atol=1e-4)


class Demanding(SmallNetwork):
    """One that takes no image under 48 pixels."""

    smallest_side = 48

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        assert min(images.shape[2:]) >= 48
        return super().encode(images)


def test_images_smaller_than_the_network_takes_go_on_mirrored():
    with torch_randomness(0, "test"):
        network = Demanding().eval()
    pixels = noise(20, 60)
    mirrored = np.pad(pixels, ((0, 28), (0, 0), (0, 0)), mode="reflect")
    np.testing.assert_allclose(predicted(network, pixels), directly(network, mirrored)[:, :20], atol=1e-5)
    assert predicted(network, noise(1, 1)).shape == (3, 1, 1)
    assert predicted(network, noise(130, 30), tile=50).shape == (3, 130, 30)


def test_no_data_has_no_class_and_is_the_mean_for_its_neighbours():
    pixels = noise(60, 50, 4).astype(np.float32)
    pixels[10:30, 20:] = np.nan
    probabilities, labels, entropy, _ = maps(small(4), pixels, preprocessing(4), tile=36)
    hole = np.isnan(pixels[..., 0])
    assert (labels[hole] == IGNORE).all()
    assert (labels[~hole] < 3).all()
    assert np.array_equal(np.isnan(entropy), hole)
    assert np.array_equal(np.isnan(probabilities).any(0), hole)
    filled = directly(small(4), np.where(np.isnan(pixels), np.float32(127.5), pixels))
    np.testing.assert_allclose(probabilities[:, ~hole], filled[:, ~hole], atol=1e-5)


def test_grey_photos_suit_a_network_for_rgb_and_the_reverse():
    grey = data.camera()[:40, :50, None]
    np.testing.assert_allclose(
        predicted(small(), grey, preprocessing(3)), directly(small(), np.repeat(grey, 3, 2)), atol=1e-5
    )
    assert predicted(small(1), noise(10, 10), preprocessing(1)).shape == (3, 10, 10)


def test_bands_and_values_of_another_kind_are_refused():
    with pytest.raises(UserError, match="5 bands, and the model was trained on 3"):
        maps(small(), noise(9, 9, 5), preprocessing(3))
    with pytest.raises(UserError, match="uint16, and the model was trained on values from 0 to 255"):
        maps(small(), noise(9, 9).astype(np.uint16), preprocessing(3))
    with pytest.raises(UserError, match="uint8, and the model was trained on values from 0 to 10000"):
        maps(small(), noise(9, 9), preprocessing(3, high=10_000))


def test_wide_images_of_many_classes_get_lower_tiles():
    network = ColourNetwork(250)
    prediction = MapPrediction(network=network, classes=250, preprocessing=preprocessing(), tile=512)
    assert max(row.stop - row.start for row in prediction.plan((3000, 20_000)).rows) == 128
    assert max(row.stop - row.start for row in prediction.plan((3000, 500)).rows) == 512
