"""Selvaraju et al.: where in the image the network sees the class."""

import torch

from convolve.see.inside.grad_cam import deciding_layer, grad_cam
from convolve.see.inside.heat import as_picture, overlay, resized
from convolve.see.inside.instruments import INSTRUMENTS, Instrument, Look
from convolve.see.inside.panel import Panel, Picture
from convolve.see.inside.subject import Question, Subject


def grad_cam_panel(subject: Subject, question: Question, look: Look) -> Panel:
    """Grad-CAM of the wanted class over the image.

    Args:
        subject: what is looked into.
        question: the image and the class.
        look: its layer, else the last with maps.

    Raises:
        UserError: there are no maps, no such layer, or no gradient.
    """
    layer = deciding_layer(subject, look.layer)
    heat = grad_cam(subject, question.image[None], torch.tensor([question.wanted]), layer)[0]
    full = resized(heat, (question.image.shape[1], question.image.shape[2]))
    wanted = subject.classes[question.wanted]
    height, width = heat.shape
    total = float(full.sum())
    share = None
    words = ""
    if total == 0:
        words = f" No place speaks for {wanted} here: the map is 0 all over."
    elif question.inside is not None:
        share = float(full[torch.from_numpy(question.inside)].sum()) / total
        words = f" {share:.0%} of it lies inside what is asked about."
    how = "each map weighted by how much it raises the logit, summed, and what is below 0 left out"
    if subject.of_a_place:
        how = (
            "each unit weighted by how much it raises the logit of what is asked about, summed over the maps, and what "
            "is below 0 left out (HiResCAM)"
        )
    return Panel(
        title="Grad-CAM",
        words=f"Where the maps of layer {layer} speak for {wanted}: {how}. The layer sees {height} x {width} places, "
        f"smoothed here to the image's size.{words}",
        pictures=[
            Picture(pixels=overlay(question.picture, heat), name="over-image", caption=f"{wanted}, over the image"),
            Picture(pixels=as_picture(full), name="map", caption="the map alone; black is 0"),
        ],
        columns=2,
        numbers={"class": wanted, "layer": layer, "map_hw": [height, width], "share_inside": share},
        source="Draelos and Carin, Use HiResCAM instead of Grad-CAM for faithful explanations, 2020"
        if subject.of_a_place
        else "Selvaraju et al., Grad-CAM: visual explanations from deep networks, ICCV 2017",
    )


INSTRUMENTS.add(
    "grad-cam",
    Instrument(
        name="grad-cam",
        order=10,
        about="where in the image a layer's maps speak for the class",
        of="image",
        run=grad_cam_panel,
    ),
)
