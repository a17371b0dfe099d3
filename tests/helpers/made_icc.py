"""Colour profiles (ICC.1, version 2) of three primaries and a gamma, and what a colour in one is in sRGB."""

from __future__ import annotations

import struct

import numpy as np

# X, Y, Z of red, green and blue for the white D50
SRGB = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))
DISPLAY_P3 = ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841))
ADOBE_RGB = ((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446))
WHITE = (0.9642, 1.0, 0.8249)


def icc(primaries=DISPLAY_P3, gamma=2.2, name="Display P3", space=b"RGB "):
    def numbers(*values):
        return b"XYZ \0\0\0\0" + struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))

    said = name.encode() + b"\0"
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(said)) + said + bytes(78),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": numbers(*WHITE),
    }
    if space == b"GRAY":
        tags[b"kTRC"] = curve
    else:
        for letter, values in zip((b"r", b"g", b"b"), primaries):
            tags[letter + b"XYZ"], tags[letter + b"TRC"] = numbers(*values), curve
    table, bodies, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for tag, body in tags.items():
        table += tag + struct.pack(">2I", start + len(bodies), len(body))
        bodies += body + bytes(-len(body) % 4)
    header = struct.pack(">I4xI", start + len(bodies), 0x02100000) + b"mntr" + space + b"XYZ " + bytes(12) + b"acsp"
    header = header.ljust(68, b"\0") + struct.pack(">3i", *(round(value * 65536) for value in WHITE))
    return header.ljust(128, b"\0") + table + bodies


def in_srgb(rgb, primaries=DISPLAY_P3, gamma=2.2):
    """(..., 3) 0..255 in the profile -> in sRGB, by the textbook, cut off at the ends."""
    linear = (np.asarray(rgb) / 255.0) ** gamma
    of_srgb = linear @ np.array(primaries) @ np.linalg.inv(np.array(SRGB))
    of_srgb = of_srgb.clip(0, 1)
    coded = np.where(of_srgb <= 0.0031308, 12.92 * of_srgb, 1.055 * of_srgb ** (1 / 2.4) - 0.055)
    return 255 * coded
