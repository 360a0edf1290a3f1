import numpy as np
from bs4 import BeautifulSoup

from convolve.data.dataset import ClassLabel, Dataset, Problem, Sample
from convolve.data.inspection import inspect_dataset
from convolve.see.report.page import write_inspection

HOSTILE = "<img src=x onerror=alert(1)>"


def test_a_page_shows_counts_copies_problems_and_images(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVOLVE_CACHE", str(tmp_path / "cache"))
    pixels = np.random.default_rng(0).integers(0, 256, (6, 40, 40, 3), dtype=np.uint8)
    pixels[5] = pixels[0]
    samples = tuple(
        Sample(f"{HOSTILE}{row}", image, ClassLabel(row % 2), split="test" if row > 3 else "train")
        for row, image in enumerate(pixels)
    )
    dataset = Dataset("cells", "arrays", (HOSTILE, "b"), samples, problems=(Problem("row 9", "no such class"),))
    path = tmp_path / "look.html"
    write_inspection(path, inspect_dataset(dataset), dataset)

    page = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
    assert page.find(class_="headline").text == "6 images of 2 classes"
    row = next(row for row in page.find_all("tr") if row.th and row.th.text == HOSTILE)
    assert [cell.text for cell in row.find_all("td")][:3] == ["2", "1", "3"]
    copies = page.find(id="copies").parent
    assert "in more than one split, with different labels" in copies.text
    assert len(copies.find_all("img")) == 2
    assert "no such class" in page.find(id="problems").parent.text
    assert len(page.find(id="images").parent.find_all("img")) == 6
    assert all(image["src"].startswith("data:image/") for image in page.find_all("img"))
    assert page.find("script") is None
