"""A small mask net with drawn weights, and photographs of moles with their masks; nothing is trained."""

from __future__ import annotations

import cv2
import numpy as np
from made_model import ENGINE, write_drawn_weights
from mask_nets import small

from skinmtl.nets.known_data import Known
from skinmtl.nets.net_files import net_files, write_net_files

NAMES = ["benign", "malignant"]
KNOWN = Known(None, None, {"lesion_names": NAMES, "location_names": ["arm", "back", "leg"]})
SIZES = ((90, 120), (150, 70), (64, 64), (200, 260), (51, 97), (130, 131))  # height, width


class MaskModel:
    """deploy.prototxt, net.json and drawn weights of a small mask net in a folder."""

    def __init__(self, folder, seed=1, names=None, long_side=None, **changes):
        known = Known(None, None, {**KNOWN.names, **({"lesion_names": names} if names else {})}, long_side)
        write_net_files(net_files(small(**changes), "a test", known), folder)
        self.folder, self.deploy, self.weights = folder, folder / "deploy.prototxt", folder / "drawn.caffemodel"
        write_drawn_weights(self.deploy, ENGINE.shapes(self.deploy).params, self.weights, seed)


class Moles:
    """Photographs of a mole each, masks beside them and a manifest, below a folder."""

    def __init__(self, folder, seed=1):
        self.folder, self.manifest = folder, folder / "manifest.csv"
        self.names = [f"images/{number}.png" for number in range(len(SIZES))]
        for part in ("images", "masks"):
            (folder / part).mkdir(parents=True)
        rows = ["image,lesions,mask,group"]
        random = np.random.RandomState(seed)
        for number, (height, width) in enumerate(SIZES):
            rows.append(f"{self.names[number]},{NAMES[number % 2]},masks/{number}.png,p{number // 2}")
            y, x = np.mgrid[:height, :width]
            mask = ((y - height / 2) / (height / 3)) ** 2 + ((x - width * 0.4) / (width / 4)) ** 2 < 1
            image = random.normal((170, 190, 215), 8, (height, width, 3))
            image[mask] *= 0.4
            cv2.imwrite(str(folder / "images" / f"{number}.png"), np.clip(image, 0, 255).astype(np.uint8))
            cv2.imwrite(str(folder / "masks" / f"{number}.png"), mask.astype(np.uint8) * 255)
        self.manifest.write_text("\n".join(rows) + "\n")

    def mask(self, number):
        return cv2.imread(str(self.folder / "masks" / f"{number}.png"), 0) > 128
