"""How well and how fast vision_app reads: python benchmarks/vision_ocr.py

Pages of known text, A4 at 150 dpi: prose in one and two columns, and invoices, in DejaVu, STIX and
Aileron, clean and degraded (rotated by 2°, JPEG quality 40, noise, a shadow). Character error is
the edit distance between the text in reading order and the truth, divided by the truth's length;
white space counts as one character. The speed is compared with RapidOCR's at its defaults, on ONNX
Runtime, with the same pages in the same process, in turns.
"""

from __future__ import annotations

import io
import json
import random
import re
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from vision_app.ocr.engine import Reader

DOCS = Path(__file__).parents[1] / "docs"
WIDTH, HEIGHT = 1240, 1754
DEJAVU, SERIF, STIX = "DejaVuSans", "DejaVuSerif", "STIXGeneral"
FONTS = (DEJAVU, SERIF, STIX, "Aileron")
PAGES, REPEATS = 6, 2


def main() -> None:
    pages = [draw(seed) for seed in range(PAGES)]
    reader = Reader()
    result: dict[str, Any] = {"pages": len(pages)}
    for name in ("clean", "degraded"):
        errors = [
            character_error(
                reader.read(np.asarray(degrade(image, seed) if name == "degraded" else image)).text,
                truth,
            )
            for seed, (image, truth) in enumerate(pages)
        ]
        result[f"{name}_error"] = round(statistics.mean(errors), 5)
        result[f"{name}_error_worst"] = round(max(errors), 5)
    result |= compare([np.asarray(image) for image, _ in pages], reader)
    print(json.dumps(result, indent=2))


def compare(pages: list[Any], reader: Reader) -> dict[str, Any]:
    """Seconds a page of both, and how many times as fast as RapidOCR we are."""
    from rapidocr import RapidOCR

    peer = RapidOCR(params={"Global.log_level": "error"})
    candidates: dict[str, Callable[[Any], Any]] = {
        "vision_app": reader.read,
        "rapidocr": lambda pixels: peer(pixels[:, :, ::-1], return_word_box=True),
    }
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for repeat in range(REPEATS + 1):
        for page in pages:
            for name, read in candidates.items():
                start = time.perf_counter()
                read(page)
                if repeat:  # the first round compiles kernels
                    seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "seconds_per_page": {name: round(value, 3) for name, value in medians.items()},
        "ratio": round(sum(seconds["rapidocr"]) / sum(seconds["vision_app"]), 2),
    }


def character_error(text: str, truth: str) -> float:
    """Edit distance divided by the length of `truth`; runs of white space are one space."""
    from rapidfuzz.distance import Levenshtein

    clean, target = " ".join(text.split()), " ".join(truth.split())
    return Levenshtein.distance(clean, target) / max(1, len(target))


def draw(seed: int) -> tuple[Image.Image, str]:
    """A page and its text: prose in one column, an invoice, or prose in two columns, in turn."""
    random_ = random.Random(seed)
    font = FONTS[seed // 3 % len(FONTS)]
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    lay_out = (prose, invoice, columns)[seed % 3]
    return image, "\n".join(lay_out(ImageDraw.Draw(image), font, random_))


def load_font(name: str, size: float) -> Any:
    if name == "Aileron":
        return ImageFont.load_default(size=size)
    import matplotlib

    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/{name}.ttf", round(size))


def sentences(random_: random.Random) -> Iterator[str]:
    """Prose of the handbook, without its markup, starting anywhere."""
    text = " ".join(path.read_text("utf-8") for path in sorted(DOCS.glob("concepts/*.md")))
    text = re.sub(r"```.*?```|\[|\]\([^)]*\)|[*`#|]|https?:\S+", " ", text, flags=re.S)
    texts = [line for line in re.split(r"(?<=[.!?])\s+", " ".join(text.split())) if line.isascii()]
    start = random_.randrange(len(texts))
    yield from texts[start:] + texts[:start]


def fill(
    canvas: ImageDraw.ImageDraw, box: tuple[int, int, int, int], font: Any, texts: Iterator[str]
) -> list[str]:
    """Set `texts` ragged right in `box`, in paragraphs of about 80 words; return the lines."""
    left, y, right, bottom = box
    lines: list[str] = []
    line, count = "", 0
    while y < bottom:
        for word in next(texts).split():
            count += 1
            longer = f"{line} {word}".strip()
            if canvas.textlength(longer, font) <= right - left:
                line = longer
                continue
            if y >= bottom:
                return lines
            canvas.text((left, y), line, font=font, fill="black")
            lines.append(line)
            line, y = word, y + round(font.size * 1.35)
        if count > 80 and y < bottom:
            canvas.text((left, y), line, font=font, fill="black")
            lines.append(line)
            line, y, count = "", y + round(font.size * 2), 0
    return lines


def prose(canvas: ImageDraw.ImageDraw, name: str, random_: random.Random) -> list[str]:
    size = random_.choice((21, 23, 25))  # 10, 11 and 12 points
    return fill(canvas, (140, 140, 1100, 1600), load_font(name, size), sentences(random_))


def columns(canvas: ImageDraw.ImageDraw, name: str, random_: random.Random) -> list[str]:
    font, texts = load_font(name, random_.choice((19, 21))), sentences(random_)
    title = "Notes on retrieval and evaluation"
    canvas.text((140, 120), title, font=load_font(name, 40), fill="black")
    left = fill(canvas, (140, 220, 590, 1600), font, texts)
    return [title, *left, *fill(canvas, (650, 220, 1100, 1600), font, texts)]


def invoice(canvas: ImageDraw.ImageDraw, name: str, random_: random.Random) -> list[str]:
    number = f"INV-{random_.randrange(10000, 99999)}"
    items = random_.sample(
        (
            "Desk lamp",
            "Hex bolts M8",
            "Consulting",
            "Printer paper A4",
            "Oak shelf",
            "USB cable 2 m",
        ),
        5,
    )
    font, y, truth, total = load_font(name, 24), 110, [], 0.0

    def row(cells: list[tuple[int, str]], step: int = 52, font: Any = font) -> None:
        nonlocal y
        for x, text in cells:
            start = x if x > 0 else -x - canvas.textlength(text, font)  # negative: flush right
            canvas.text((start, y), text, font=font, fill="black")
        truth.append(" ".join(text for _, text in cells))
        y += step

    row([(120, "Northwind Traders Ltd")], 70, load_font(name, 40))
    row([(120, "14 Harbour Street, Bristol BS1 5TY")], 90)
    row([(120, "INVOICE"), (780, "Invoice no."), (-1120, number)])
    row([(120, "Bill to: Jane Miller"), (780, "Date"), (-1120, "3 March 2024")], 100)
    row([(120, "Description"), (-760, "Qty"), (-930, "Price"), (-1120, "Amount")])
    canvas.line((120, y - 12, 1120, y - 12), fill="black", width=2)
    for item in items:
        count, price = random_.randrange(1, 30), random_.randrange(150, 90000) / 100
        total += count * price
        cells = [(-760, str(count)), (-930, f"{price:,.2f}"), (-1120, f"{count * price:,.2f}")]
        row([(120, item), *cells])
    y += 30
    row([(780, "Subtotal"), (-1120, f"{total:,.2f}")])
    row([(780, "VAT 20 %"), (-1120, f"{total / 5:,.2f}")])
    row([(780, "Total due"), (-1120, f"£{total * 1.2:,.2f}")], 120)
    row([(120, "Please pay within 30 days to IBAN GB33 BUKB 2020 1555 5555 55.")])
    return truth


def degrade(image: Image.Image, seed: int) -> Image.Image:
    """Rotated by 2°, with a shadow and noise, slightly out of focus, and compressed as JPEG 40."""
    generator = np.random.default_rng(seed)
    angle = 2.0 if seed % 2 else -2.0
    turned = image.rotate(angle, Image.Resampling.BICUBIC, fillcolor="white")
    pixels = np.asarray(turned.filter(ImageFilter.GaussianBlur(0.6)), np.float32)
    shadow = np.linspace(1.0, 0.55, pixels.shape[1])[None, :, None]
    noisy = pixels * shadow + generator.normal(0, 10, pixels.shape)
    buffer = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=40)
    return Image.open(buffer).convert("RGB")


if __name__ == "__main__":
    main()
