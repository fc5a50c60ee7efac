"""Groups of images that look the same, by perceptual hashes.

    image_hash(pixels)                          # 32 bytes
    group({"a.jpg": hash_a, "b.jpg": hash_b}, max_distance=24)

A hash survives scaling, JPEG and small changes of brightness, but not cropping, turning or
mirroring. Whether a group is to be deleted is up to the user.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vision_app.ocr.page import Pixels

BITS = 256
_SIDE = 16  # of the hash; with the usual 8, different pages of one layout have equal hashes
_ROWS = 256  # compared with all others at a time


def image_hash(pixels: Pixels) -> bytes:
    """The perceptual hash of an image: 256 signs of its lowest cosine frequencies.

    `phash` of imagehash; Zauner, 2010, https://www.phash.org/docs/pubs/thesis_zauner.pdf.
    """
    import imagehash
    from PIL import Image

    image = Image.fromarray(pixels)
    # 1. Hash a small picture: the hash itself reads 64 x 64 pixels.
    image.thumbnail((256, 256))
    bits = imagehash.phash(image, hash_size=_SIDE).hash
    return np.packbits(bits).tobytes()


def group(hashes: Mapping[str, bytes], max_distance: int) -> list[list[str]]:
    """Names whose hashes differ in at most `max_distance` bits, directly or through others.

    Groups of at least two names, the largest first. Compares all pairs: 2 s for 20,000 images.

    >>> group({"a": b"\\x00", "b": b"\\x01", "c": b"\\xff"}, max_distance=1)
    [['a', 'b']]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names = sorted(hashes)
    if not names:
        return []
    raw = b"".join(hashes[name] for name in names)
    bits = np.frombuffer(raw, np.uint8).reshape(len(names), -1)
    wide = bits.view(np.uint64) if bits.shape[1] % 8 == 0 else bits
    pairs = [
        np.argwhere(
            np.bitwise_count(wide[at : at + _ROWS, None] ^ wide[None]).sum(2) <= max_distance
        )
        + [at, 0]
        for at in range(0, len(names), _ROWS)
    ]
    rows, columns = np.concatenate(pairs).T
    shape = (len(names), len(names))
    links = coo_array((np.ones(len(rows), np.bool_), (rows, columns)), shape=shape)
    _, numbers = connected_components(links, directed=False)
    groups: dict[int, list[str]] = {}
    for name, number in zip(names, numbers.tolist(), strict=True):
        groups.setdefault(number, []).append(name)
    large = [members for members in groups.values() if len(members) > 1]
    return sorted(large, key=lambda members: (-len(members), members))
