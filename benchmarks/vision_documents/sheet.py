"""A page to draw on in millimetres, its fonts, and the distortions of scans and photographs.

    sheet = Sheet(210, 297, dpi=150, face=faces("dev")[0])
    y = sheet.text(20, 20, "Invoice", size=18, bold=True)
    sheet.runs                     # every text drawn, for the character error rate
    degrade(sheet.image, rng)

Pillow draws everything. Fonts: Pillow's own Aileron, and DejaVu and STIX where a clone has them.
"""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageFont

POINT = 25.4 / 72  # millimetres
Font = ImageFont.FreeTypeFont
Color = tuple[int, int, int]
BLACK = (25, 25, 28)


@dataclass(frozen=True)
class Face:
    """The files of a regular and a bold font; none for Aileron, whose bold has a stroke."""

    regular: str = ""
    bold: str = ""
    mono: bool = False

    def font(self, pixels: float, bold: bool) -> Font:
        """The font at a size in pixels."""
        return _font((self.bold if bold else self.regular) or self.regular, round(pixels, 1))

    def covers(self, text: str) -> bool:
        """Whether the font has a glyph for each character."""
        font = self.font(20, False)
        missing = bytes(font.getmask("\U0010fffe"))
        return not any(bytes(font.getmask(c)) == missing for c in set(text) - set(" \n\u202f"))


FACES = {
    "dev": ["", "DejaVuSans DejaVuSans-Bold", "DejaVuSansMono DejaVuSansMono-Bold"],
    "more": [
        "",
        "STIXGeneral STIXGeneralBol",
        "DejaVuSerif DejaVuSerif-Bold",
        "DejaVuSansCondensed DejaVuSansCondensed-Bold",
        "DejaVuSansMono-Bold DejaVuSansMono-Bold",
    ],
}


@cache
def faces(split: str) -> tuple[Face, ...]:
    """The faces of a split that this machine has; the first one is Aileron."""
    files = {path.stem: str(path) for folder in _font_folders() for path in folder.rglob("*.ttf")}
    names = [entry.split() for entry in FACES[split]]
    return tuple(
        Face(*(files[name] for name in pair), mono=any("Mono" in name for name in pair))
        for pair in names
        if all(name in files for name in pair)
    )


def _font_folders() -> list[Path]:
    spec = importlib.util.find_spec("matplotlib")
    own = [Path(spec.origin).parent / "mpl-data/fonts/ttf"] if spec and spec.origin else []
    return [Path("/usr/share/fonts"), *own]


@cache
def _font(file: str, pixels: float) -> Font:
    font = ImageFont.truetype(file, pixels) if file else ImageFont.load_default(pixels)
    assert isinstance(font, Font)
    return font


class Sheet:
    """A white page of a size in millimetres; `text` and `rule` draw on it from the top left."""

    def __init__(self, width: float, height: float, dpi: int, face: Face, ink: Color = BLACK):
        self.width, self.height, self.face, self.ink = width, height, face, ink
        self.scale = dpi / 25.4
        self.image = Image.new("RGB", (self._px(width), self._px(height)), "white")
        self.draw = ImageDraw.Draw(self.image)
        self.runs: list[str] = []

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float = 9,
        *,
        bold: bool = False,
        align: str = "l",
        color: Color | None = None,
        fit: float = 0,
    ) -> float:
        """Draw one line at (x, y), at most `fit` wide; returns y of the next line."""
        if not text:
            return y
        while fit and size > 5 and self.measure(text, size, bold) > fit:
            size -= 0.5
        font = self.face.font(size * POINT * self.scale, bold)
        stroke = 0.022 * font.size if bold and not self.face.bold else 0
        self.draw.text(
            (self._px(x), self._px(y)),
            text,
            font=font,
            fill=color or self.ink,
            anchor={"l": "la", "r": "ra", "c": "ma"}[align],
            stroke_width=stroke,
        )
        self.runs.append(text)
        return y + size * POINT * 1.32

    def lines(self, x: float, y: float, texts: Sequence[str], size: float = 9, **style) -> float:
        """Draw lines below each other; returns y of the next line."""
        for text in texts:
            y = self.text(x, y, text, size, **style)
        return y

    def paragraph(self, x: float, y: float, text: str, width: float, size: float = 9) -> float:
        """Draw text in lines of at most `width`; returns y of the next line."""
        line = ""
        for word in text.split(" "):
            if line and self.measure(f"{line} {word}", size) > width:
                y, line = self.text(x, y, line, size), ""
            line = f"{line} {word}".strip()
        return self.text(x, y, line, size)

    def measure(self, text: str, size: float, bold: bool = False) -> float:
        """The width of a text in millimetres."""
        font = self.face.font(size * POINT * self.scale, bold)
        return font.getlength(text) / self.scale

    def rule(self, x0: float, y: float, x1: float, width: float = 0.2, dash: float = 0) -> None:
        """Draw a horizontal line, in dashes of a length if asked to."""
        step = dash * 2 or x1 - x0
        while x0 < x1 - 0.01:
            end = min(x1, x0 + (dash or step))
            self.box(x0, y, end, y + width, fill=self.ink)
            x0 += step

    def box(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        fill: Color | None = None,
        line: float = 0,
    ) -> None:
        """Draw a rectangle, filled or with an outline."""
        corners = [self._px(v) for v in (x0, y0, x1, y1)]
        corners[2:] = max(corners[2], corners[0]), max(corners[3], corners[1])
        outline = self.ink if line else None
        self.draw.rectangle(corners, fill, outline, max(1, self._px(line)))

    def crop(self, height: float) -> None:
        """Cut the page off below a height, as the printer of receipts does."""
        self.image = self.image.crop((0, 0, self.image.width, self._px(height)))

    def _px(self, millimetres: float) -> int:
        return round(millimetres * self.scale)


def degrade(image: Image.Image, rng: random.Random, scale: float = 1) -> Image.Image:
    """A bad scan, to be saved as JPEG of quality 40: up to 2° askew, noise, fewer pixels.

    And two of three: a shadow, low contrast, blur. A person can still read the small print.
    """
    desk = rng.choice([(255, 255, 255), (120, 105, 90), (60, 64, 70)])
    angle = rng.choice([-1, 1]) * rng.uniform(0.8, 2)
    image = image.rotate(angle, Image.Resampling.BICUBIC, True, fillcolor=desk)
    size = (round(image.width * scale), round(image.height * scale))
    image = image.resize(size, Image.Resampling.LANCZOS)
    flaws = rng.sample(["shadow", "contrast", "blur"], 2)
    if "shadow" in flaws:  # grows to one side
        shade = Image.linear_gradient("L").rotate(rng.choice([0, 90, 180, 270])).resize(size)
        dark = rng.randint(110, 170)
        shade = shade.point([dark + v * (255 - dark) // 255 for v in range(256)])
        image = ImageChops.multiply(image, Image.merge("RGB", [shade] * 3))
    if "contrast" in flaws:
        image = ImageEnhance.Contrast(image).enhance(rng.uniform(0.5, 0.8))
    if "blur" in flaws:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.6)))
    # Uniform noise around 128 from the seed; ImageChops.add subtracts the offset again.
    noise, spread = Image.frombytes("L", size, rng.randbytes(size[0] * size[1])), rng.randint(8, 24)
    noise = noise.point([128 + (v - 128) * spread // 128 for v in range(256)])
    return ImageChops.add(image, Image.merge("RGB", [noise] * 3), offset=-128)
