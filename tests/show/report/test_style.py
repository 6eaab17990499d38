"""Colours of a page: text stands out from its ground, in light, in dark and on paper."""

import re
from pathlib import Path

import pytest

from mixedeffects.show.report import page

STYLE = Path(page.__file__).with_name("page.css").read_text(encoding="utf-8")
SCHEMES = [
    dict(re.findall(r"(--[\w-]+): (#\w{6})", b))
    for b in re.findall(r":root \{.*?\}", STYLE, re.DOTALL)
]
PAIRS = [
    *[
        (text, ground)
        for text in ("--text", "--quiet", "--link")
        for ground in ("--ground", "--box")
    ],
    ("--bad", "--bad-ground"),
]


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", range(3), ids=["light", "dark", "print"])
def test_contrast_is_at_least_that_of_wcag(scheme):
    colours = SCHEMES[scheme]
    for text, ground in PAIRS:
        light, dark = sorted((luminance(colours[text]), luminance(colours[ground])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, ground)
