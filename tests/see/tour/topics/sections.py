"""Sections of the tour, each computed once by a test process, whatever asks for it."""

import functools

from convolve.see.tour.topic import TOPICS


@functools.cache
def section_of(name):
    return TOPICS[name].compute(0)
