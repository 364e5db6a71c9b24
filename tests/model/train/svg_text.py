#!/usr/bin/env python3
"""Prints the texts of an SVG picture, one a line, if it is fit to be shown anywhere; says why not, with exit code 1,
otherwise: it must be XML that refers to nothing outside itself, its texts must lie inside it, and what its style
sheet draws must stand out from the card, in a light and in a dark scheme. Run by training_plot_test.cc."""
import re
import sys
import xml.etree.ElementTree as ElementTree

SVG = "{http://www.w3.org/2000/svg}"
CHARACTER = 0.62  # width of an average letter by the font's size
LEAST_CONTRAST = {"fill": 4.5, "stroke": 3}  # WCAG 2.1: of text, and of graphics
DECORATION = {"card", "grid", "frame", "best"}


def luminance(colour):
    parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def colours(sheet):
    """(class, property) -> colour."""
    found = {}
    for selectors, body in re.findall(r"([^{}]+)\{([^{}]*)\}", sheet):
        for name in re.findall(r"\.(\w+)", selectors):
            for what, colour in re.findall(r"(fill|stroke): (#[0-9a-f]{6})", body):
                found[name, what] = colour
    return found


def schemes(sheet):
    light, dark = sheet.split("@media (prefers-color-scheme: dark) {")
    return colours(light), {**colours(light), **colours(dark)}


def faults(root):
    if root.tag != SVG + "svg":
        yield f"the root is {root.tag}"
    _, _, width, height = map(float, root.get("viewBox").split())
    for element in root.iter():
        if element.tag in (SVG + "script", SVG + "image", SVG + "use"):
            yield f"{element.tag} refers to something else"
        for name, value in element.attrib.items():
            if "href" in name or ("url(" in value and not value.startswith("url(#")):
                yield f"{name} refers to {value}"
    for text in root.iter(SVG + "text"):
        size = 17 if text.get("class") == "title" else 12
        extent = size * CHARACTER * len(text.text)
        left = float(text.get("x")) - extent * {"start": 0, "middle": 0.5, "end": 1}[text.get("text-anchor")]
        top = float(text.get("y")) - size
        if left < 0 or left + extent > width or top < 0 or top + size > height:
            yield f"{text.text!r} is not inside the picture"
    for scheme in schemes(root.find(SVG + "style").text):
        for (name, what), colour in scheme.items():
            got = contrast(colour, scheme["card", "fill"])
            if name not in DECORATION and got < LEAST_CONTRAST[what]:
                yield f"{name}'s {what} {colour} has contrast {got:.2f}"


def main():
    sys.stdout.reconfigure(encoding="utf-8")  # whatever the locale
    root = ElementTree.parse(sys.argv[1]).getroot()
    found = list(faults(root))
    print("\n".join(found or (text.text for text in root.iter(SVG + "text"))))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
