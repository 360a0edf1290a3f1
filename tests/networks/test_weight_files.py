"""Weight files as other people write them, and as an attacker would."""

import os
import pickle
import zipfile
from hashlib import sha256

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from convolve.errors import UserError
from convolve.networks.catalogue import find_architecture
from convolve.networks.loading import load_backbone
from convolve.networks.weight_files import LARGEST_BYTES, read_weight_file
from convolve.randomness import torch_randomness


class Hostile:
    """Runs a command when it is unpickled."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.fixture(scope="module")
def resnet():
    with torch_randomness("theirs"):
        return torchvision.models.resnet18(weights=None).eval()


def ours():
    return find_architecture("torchvision:resnet18").create(7, channels=3, image_hw=(64, 64))


@pytest.mark.parametrize(
    ("wrap", "note"),
    [
        (lambda tensors: tensors, None),
        (lambda tensors: {"epoch": 3, "state_dict": tensors}, '"state_dict"'),
        (lambda tensors: {"model": {f"module.{name}": tensor for name, tensor in tensors.items()}}, "DataParallel"),
        (lambda tensors: {f"backbone.{name}": tensor for name, tensor in tensors.items()}, '"backbone."'),
    ],
    ids=["plain", "state_dict", "DataParallel", "backbone"],
)
def test_a_file_of_torchvisions_tensors_gives_torchvisions_features(wrap, note, resnet, tmp_path):
    file = tmp_path / "resnet.pth"
    torch.save(wrap(resnet.state_dict()), file)
    network = ours()
    report = load_backbone(network, file)
    assert (len(report.loaded), report.new, report.adapted) == (120, (), ())
    assert [name.rpartition(".")[2] for name in report.left_over] == ["weight", "bias"]
    assert note is None or note in report.sentence
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        theirs = resnet(images)
        features = network.eval().backbone(images)
    assert torch.equal(torch.nn.functional.linear(features, resnet.fc.weight, resnet.fc.bias), theirs)


@pytest.mark.parametrize("new_format", [True, False])
def test_a_hostile_pickle_is_refused_and_nothing_of_it_runs(new_format, tmp_path):
    file, trace = tmp_path / "weights.pth", tmp_path / "trace"
    content = {"fc.weight": torch.zeros(2), "extra": Hostile(f"touch {trace}")}
    torch.save(content, file, _use_new_zipfile_serialization=new_format)
    with pytest.raises(UserError, match=r"asks for '\w+\.system', which is no tensor; refused") as refusal:
        read_weight_file(file)
    assert len(str(refusal.value).splitlines()) == 2
    file.write_bytes(pickle.dumps(content["extra"]))
    with pytest.raises(UserError, match="no weight file"):
        read_weight_file(file)
    assert not trace.exists()
    # It does run where it is trusted.
    pickle.loads(file.read_bytes())  # noqa: S301
    assert trace.exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_damage_is_said_so(suffix, tmp_path):
    file = tmp_path / f"weights{suffix}"
    tensors = {"w": torch.randn(50, 50)}
    torch.save(tensors, file) if suffix == ".pth" else save_file(tensors, file)
    whole = file.read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"<html>404</html>", b"\xff" * 64):
        file.write_bytes(content)
        with pytest.raises(UserError, match="cut short, damaged or no weight file"):
            read_weight_file(file)


def test_what_is_no_tensors_by_name_is_described(tmp_path):
    file = tmp_path / "weights.pt"
    for content, words in (([1, 2], "one list"), (torch.zeros(3), "one Tensor"), ({"lr": 1}, "a dictionary of 'lr'")):
        torch.save(content, file)
        with pytest.raises(UserError, match=f"holds {words}, not tensors by name"):
            read_weight_file(file)


def test_a_module_pickled_whole_is_refused_with_the_way_out(tmp_path):
    torch.save(torch.nn.Linear(2, 3), tmp_path / "whole.pth")
    with pytest.raises(UserError, match=r"asks for 'torch.nn.modules.linear.Linear'.*\n.*model.state_dict\(\)"):
        read_weight_file(tmp_path / "whole.pth")


def test_a_name_with_a_hash_is_held_to_it(tmp_path):
    file = tmp_path / "net.pth"
    torch.save({"w": torch.ones(2)}, file)
    digest = sha256(file.read_bytes()).hexdigest()
    right, wrong = tmp_path / f"net-{digest[:8]}.pth", tmp_path / "net-20240131.pth"
    wrong.write_bytes(file.read_bytes())
    assert torch.equal(read_weight_file(file.rename(right)).tensors["w"], torch.ones(2))
    with pytest.raises(UserError, match=f"begins with {digest[:8]}, not with 20240131.*\n.*a date does"):
        read_weight_file(wrong)


def test_a_file_too_large_is_not_read_even_if_it_is_small_on_disk(tmp_path):
    file = tmp_path / "large.safetensors"
    with file.open("wb") as stream:
        stream.truncate(LARGEST_BYTES + 1)
    with pytest.raises(UserError, match="more than the 8 GB"):
        read_weight_file(file)
    with zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb/data.pkl", b"")
        archive.infolist()[0].file_size = LARGEST_BYTES + 1
    with pytest.raises(UserError, match="more than the 8 GB"):
        read_weight_file(tmp_path / "bomb.pth")


def test_weights_of_another_architecture_name_the_layer(resnet, tmp_path):
    torch.save(resnet.state_dict(), tmp_path / "resnet18.pth")
    deeper = find_architecture("torchvision:resnet50").create(2, channels=3, image_hw=(64, 64))
    with pytest.raises(UserError, match=r"'layer1.0.conv1.weight' is 64 x 64 x 3 x 3, but 64 x 64 x 1 x 1"):
        load_backbone(deeper, tmp_path / "resnet18.pth")
