"""Templates filled into HTML files that need nothing else: style and images are inside, scripts there are none."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from convolve.run.files import write_atomically
from convolve.see.report import numbers
from convolve.see.report.thumbnails import data_uri, is_pixel_art


def write_page(path: Path, template: str, **content: Any) -> None:
    """Fill a template and write it, whole or not at all.

    Args:
        path: of the HTML file.
        template: a file in templates/.
        content: what the template names; text in it may hold anything, and stays text.

    Raises:
        UserError: no space is left.
    """
    environment = Environment(
        loader=PackageLoader("convolve.see.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "data_uri": data_uri,
        "percent": numbers.percent,
        "percent_range": numbers.percent_range,
        "duration": numbers.duration,
        "unbroken": numbers.unbroken,
    }
    environment.tests["pixel_art"] = is_pixel_art
    text = environment.get_template(template).render(**content)
    # A file name that is no text on its own system (a lone surrogate) has no bytes in UTF-8.
    write_atomically(path, text.encode(errors="backslashreplace"))
