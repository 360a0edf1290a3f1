import torch
import torch.nn.functional as F

from convolve.networks.layers.inception import Inception, InceptionWidths

WIDTHS = InceptionWidths(2, 3, 4, 1, 5, 6)


def test_branches_are_concatenated_in_the_papers_order():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module, maps = Inception(3, WIDTHS).double(), torch.randn(2, 3, 7, 5, dtype=torch.float64)
    weights = module.state_dict()

    def convolved(maps, path):
        weight = weights[f"{path}.0.weight"]
        return F.conv2d(maps, weight, weights[f"{path}.0.bias"], padding=weight.shape[-1] // 2).relu()

    expected = torch.cat(
        [
            convolved(maps, "direct"),
            convolved(convolved(maps, "branch_3.0"), "branch_3.1"),
            convolved(convolved(maps, "branch_5.0"), "branch_5.1"),
            convolved(F.max_pool2d(maps, 3, stride=1, padding=1), "branch_pool.1"),
        ],
        dim=1,
    )
    assert expected.shape[1] == WIDTHS.total == 17
    torch.testing.assert_close(module(maps), expected)


def test_the_five_by_five_branch_is_five_by_five():
    module = Inception(3, WIDTHS)
    kernels = [layer.kernel_size for layer in module.modules() if isinstance(layer, torch.nn.Conv2d)]
    assert kernels == [(1, 1), (1, 1), (3, 3), (1, 1), (5, 5), (1, 1)]
