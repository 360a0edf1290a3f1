"""Section 20's figures, and that protocols are told."""

from see.tour.topics.sections import section_of


def test_published_errors_and_depths():
    section = section_of("imagenet-history")
    found = {entry["title"]: (entry["layers"], entry["top-5 test error"]) for entry in section.numbers["entries"]}
    assert found == {
        "AlexNet": (8, 15.3),
        "AlexNet, no extra data": (8, 16.4),
        "ZFNet": (8, 14.8),
        "OverFeat": (9, 13.6),
        "Clarifai": (8, 11.7),
        "VGG": (19, 7.3),
        "GoogLeNet": (22, 6.7),
        "ResNet": (152, 3.57),
    }
    assert section.numbers["human"] == 5.1
    assert "test images" in section.tables[0].caption
    assert all(row[-1] for row in section.tables[0].rows)
