"""Class scores of two resolutions become one map: a step of the ladder FCN-32s, -16s, -8s."""

from torch import Tensor, nn

from convolve.networks.layers.bilinear_upsampling import FixedUpsampling, Lattice, TransposedUpsampling


class ScoreFusion(nn.Module):
    """Coarse scores, upsampled onto the units of a finer map, plus the scores read off that map.

    Args:
        classes: K.
        coarse, fine: lattices of the two.
        learned: whether upsampling is trained, from bilinear interpolation on.

    Attributes:
        lattice: of the sum: that of the finer map.

    Source: Long, Shelhamer and Darrell, CVPR 2015, section 4.2.
    """

    def __init__(self, classes: int, coarse: Lattice, fine: Lattice, *, learned: bool) -> None:
        super().__init__()
        self.lattice = fine
        self.upsampling: nn.Module = (
            TransposedUpsampling(classes, coarse, fine) if learned else FixedUpsampling(coarse, fine)
        )

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """(N, K, h, w) and (N, K, H, W) -> (N, K, H, W)."""
        upsampled: Tensor = self.upsampling(coarse, fine.shape[2:])
        return upsampled + fine


class CroppedFusion(nn.Module):
    """The same as in the paper's networks: the finer map is cut to what a 4 x 4 transposed convolution makes.

    Args:
        classes: K.
        coarse, fine: lattices of the two; a unit of the coarse one is two of the fine one.
        learned: whether upsampling is trained.

    Attributes:
        lattice: of the sum.
        offset: row and column of the finer map at which it begins.

    Source: the `crop` layers of Long, Shelhamer and Darrell's voc-fcn16s and voc-fcn8s.
    """

    def __init__(self, classes: int, coarse: Lattice, fine: Lattice, *, learned: bool) -> None:
        super().__init__()
        self.lattice = coarse.finer(2)
        self.offset = int(self.lattice.place_on(fine)[1])
        self.upsampling = TransposedUpsampling(classes, coarse, self.lattice, learned=learned, continued=False)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """(N, K, h, w) and (N, K, H, W) -> (N, K, 2h + 2, 2w + 2)."""
        height, width = (2 * length + 2 for length in coarse.shape[2:])
        upsampled: Tensor = self.upsampling(coarse, (height, width))
        return upsampled + fine[:, :, self.offset : self.offset + height, self.offset : self.offset + width]
