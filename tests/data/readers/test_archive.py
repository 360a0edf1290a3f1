import io
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convolve.data import cache
from convolve.data.reading import read_dataset
from convolve.errors import UserError


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CONVOLVE_CACHE", str(tmp_path / "kept"))
    monkeypatch.delenv("CONVOLVE_CACHE_LIMIT", raising=False)
    return tmp_path / "kept"


def png(grey: int = 0) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((8, 8), grey, np.uint8)).save(file, "png")
    return file.getvalue()


GOOD = {"set/a/1.png": png(1), "set/b/1.png": png(2)}


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_tar(path: Path, files: dict[str, bytes], *odd: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in odd:
            archive.addfile(info)
    return path


def refused(path: Path, tmp_path: Path, words: str) -> None:
    with pytest.raises(UserError, match=words):
        read_dataset(str(path))
    assert cache.entries() == []
    assert not any(file.name.startswith("evil") for file in tmp_path.rglob("*"))


@pytest.mark.parametrize("ending", ["zip", "ZIP", "tar", "tar.gz", "tgz"])
@pytest.mark.parametrize("top", ["", "set/", "deep/er/"])
def test_all_forms_read_alike(tmp_path: Path, ending: str, top: str) -> None:
    files = {
        f"{top}{name}": content for name, content in {"a/1.png": png(1), "a/2.png": png(2), "b/1.png": png(3)}.items()
    }
    files |= {"__MACOSX/set/a/._1.png": b"x", f"{top}README.md": b"words"}
    path = tmp_path / f"cells.{ending}"
    (write_zip if ending.lower() == "zip" else write_tar)(path, files)
    dataset = read_dataset(str(path))
    assert [sample.name for sample in dataset.samples] == ["a/1.png", "a/2.png", "b/1.png"]
    assert (dataset.name, dataset.form, dataset.problems) == (path.name, "class folders in an archive", ())
    assert [sample.image.read_bytes() for sample in dataset.samples] == [png(1), png(2), png(3)]


def test_other_formats_inside(tmp_path: Path) -> None:
    table = b"path,label,split\n1.png,a,train\n2.png,b,test\nlost.png,b,test\n"
    path = write_zip(tmp_path / "cells.zip", {"x/1.png": png(), "x/2.png": png(), "x/labels.csv": table})
    with pytest.raises(UserError, match=r"labels\.csv, line 4: image 'lost\.png' is not in x/"):
        read_dataset(str(path))
    assert read_dataset(str(path), missing="skip").given_splits == {"train", "test"}


def test_backslashes_of_windows_are_folders(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "cells.zip", {"set\\a\\1.png": png(), "set\\b\\1.png": png()})
    assert read_dataset(str(path)).classes == ("a", "b")


def test_it_is_unpacked_once_whatever_it_is_called(tmp_path: Path) -> None:
    first = read_dataset(str(write_zip(tmp_path / "cells.zip", GOOD)))
    (tmp_path / "cells.zip").rename(tmp_path / "renamed.zip")
    second = read_dataset(str(tmp_path / "renamed.zip"))
    assert [sample.image for sample in first.samples] == [sample.image for sample in second.samples]
    assert len(cache.entries()) == 1


def test_two_processes_at_once_read_the_same(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "cells.zip", {f"{name}/{n}.png": png(n) for name in "ab" for n in range(40)})
    code = "import sys; from convolve.data.reading import read_dataset; print(len(read_dataset(sys.argv[1]).samples))"
    command = [sys.executable, "-c", code, str(path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(2)]  # noqa: S603
    assert [process.communicate()[0] for process in running] == ["80\n", "80\n"]
    assert len(cache.entries()) == 1


@pytest.mark.parametrize("name", ["../evil.png", "a/../../evil.png", "/evil.png", "C:\\evil.png", "..\\evil.png"])
@pytest.mark.parametrize("ending", ["zip", "tar"])
def test_members_do_not_escape(tmp_path: Path, name: str, ending: str) -> None:
    write = write_zip if ending == "zip" else write_tar
    path = write(tmp_path / f"cells.{ending}", GOOD | {name: png()})
    refused(path, tmp_path, r"would lie outside its folder\n.*unpack it yourself")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    odd = tarfile.TarInfo("set/a/evil.png")
    odd.type, odd.linkname = kind, "/etc/passwd"
    refused(write_tar(tmp_path / "cells.tar.gz", GOOD, odd), tmp_path, r"evil\.png' is a link or a device")


def test_links_in_a_zip_are_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "cells.zip", GOOD)
    link = zipfile.ZipInfo("set/a/evil.png")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    refused(path, tmp_path, "is a link or a device")


def test_encrypted_members_are_named(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "cells.zip", GOOD)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the flag in the list at the end
    path.write_bytes(content)
    refused(path, tmp_path, "is encrypted")


@pytest.mark.parametrize("ending", ["zip", "tar.gz"])
def test_bombs_are_answered(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convolve.data.readers.archive._HARMLESS_BYTES", 1 << 20)
    write = write_zip if ending == "zip" else write_tar
    path = write(tmp_path / f"cells.{ending}", GOOD | {"set/a/zeros.png": bytes(4 << 20)})
    refused(path, tmp_path, r"it unpacks to more than 1,0\d\d,\d\d\d bytes")


def test_what_does_not_fit_the_cache_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVOLVE_CACHE_LIMIT", "100")
    refused(write_zip(tmp_path / "cells.zip", GOOD), tmp_path, r"more than 100 bytes[\s\S]*CONVOLVE_CACHE_LIMIT")


def test_too_many_members_are_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convolve.data.readers.archive._MOST_MEMBERS", 1)
    refused(write_zip(tmp_path / "cells.zip", GOOD), tmp_path, "or 1 files")


@pytest.mark.parametrize("ending", ["zip", "tar", "tar.gz"])
def test_members_of_one_name_are_answered(tmp_path: Path, ending: str) -> None:
    write = write_zip if ending == "zip" else write_tar
    path = write(tmp_path / f"cells.{ending}", GOOD | {"set//a/1.png": png(9)})
    refused(path, tmp_path, "two members are called")
    path = write(tmp_path / f"cells.{ending}", GOOD | {"set/a/1.png/2.png": png(9)})
    refused(path, tmp_path, "two members are called")


@pytest.mark.parametrize("ending", ["zip", "tar", "tar.gz"])
def test_damage_is_answered(tmp_path: Path, ending: str) -> None:
    write = write_zip if ending == "zip" else write_tar
    path = write(tmp_path / f"cells.{ending}", {"a/1.png": os.urandom(2000), "b/1.png": os.urandom(2000)})
    whole = path.read_bytes()
    for broken in (b"", b"no archive at all", whole[: len(whole) // 3], whole[:700], b"x" + whole[1:]):
        path.write_bytes(broken)
        if ending == "zip" and broken[1:] == whole[1:]:
            continue  # zip allows anything before its first member
        refused(path, tmp_path, "damaged, truncated or no archive")


def test_an_archive_without_a_data_set_is_described_by_its_own_name(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "cells.zip", {"notes.xml": b"x"})
    with pytest.raises(UserError, match=r"cells\.zip: no data set that a reader knows, but 1 files \.xml"):
        read_dataset(str(path))


def test_faults_inside_name_the_archive_and_not_the_cache(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "cells.zip", {"train/a/1.png": png(), "train/b/1.png": png(), "test/c/1.png": png()})
    with pytest.raises(UserError, match=r"^cells\.zip: test has 1 images of 'c'"):
        read_dataset(str(path))
