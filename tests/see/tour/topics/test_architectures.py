"""Counts of sections 15 to 19, shapes as the papers print them."""

import pytest

from see.tour.topics.sections import section_of


@pytest.fixture(scope="module")
def numbers():
    return section_of("architectures").numbers


def test_parameters(numbers):
    assert numbers["parameters"] == {
        "LeNet-5": 61_706,
        "AlexNet": 60_965_224,
        "ZFNet": 62_357_608,
        "OverFeat, fast": 145_920_872,
        "VGG-16": 138_357_544,
        "GoogLeNet": 6_998_552,
        "Inception v3": 23_834_568,
        "ResNet-18": 11_689_512,
        "ResNet-50": 25_557_032,
        "ResNet-152": 60_192_808,
    }


def test_lenet_as_published(numbers):
    # The paper's 60,000: C1 156, S2 12, C3 1,516, S4 32, C5 48,120, F6 10,164; its codes are not trained.
    assert numbers["parameters of LeNet-5 as published"] == 156 + 12 + 1_516 + 32 + 48_120 + 10_164
    assert "60,000 parameters" in section_of("architectures").tables[0].caption


def test_multiply_adds_in_thousand_millions(numbers):
    rounded = {name: round(count / 1e9, 3) for name, count in numbers["multiply-adds"].items()}
    assert numbers["multiply-adds"]["LeNet-5"] == 416_520
    assert rounded == {
        "LeNet-5": 0.0,
        "AlexNet": 0.724,
        "ZFNet": 1.168,
        "OverFeat, fast": 2.801,
        "VGG-16": 15.47,
        "GoogLeNet": 1.583,
        "Inception v3": 5.713,
        "ResNet-18": 1.814,
        "ResNet-50": 4.089,
        "ResNet-152": 11.514,
    }


def test_maps_as_the_papers_print_them(numbers):
    maps = numbers["maps"]
    assert maps["LeNet-5"] == [[28, 6], [14, 6], [10, 16], [5, 16]]
    assert maps["AlexNet"] == [[55, 96], [27, 256], [13, 384], [6, 256]]
    assert maps["VGG-16"] == [[224, 64], [112, 128], [56, 256], [28, 512], [14, 512], [7, 512]]
    assert maps["GoogLeNet"] == [[112, 64], [56, 192], [28, 480], [14, 832], [7, 1024]]
    assert maps["ResNet-152"] == [[112, 64], [56, 256], [28, 512], [14, 1024], [7, 2048]]
    assert numbers["depth"]["GoogLeNet"] == 22
