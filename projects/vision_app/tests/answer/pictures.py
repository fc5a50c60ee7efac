"""The pictures of the questions in questions.jsonl, painted from text; and two photographs."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

LAYOUTS = {
    # name: (width, height), lines of (text, left, top, size)
    "invoice": (
        (1000, 1300),
        [
            ("Northwind Trading Ltd", 60, 60, 40),
            ("12 Harbour Street, Bristol BS1 4RW", 60, 120, 24),
            ("Phone: +44 117 496 0123", 60, 160, 24),
            ("accounts@northwind.example", 60, 200, 24),
            ("INVOICE", 700, 60, 48),
            ("Invoice number: NW-2024-118", 600, 160, 24),
            ("Date: 14 March 2024", 600, 200, 24),
            ("Bill to", 60, 290, 24),
            ("Marlow & Sons", 60, 325, 24),
            ("Description", 60, 420, 24),
            ("Qty", 560, 420, 24),
            ("Price", 680, 420, 24),
            ("Amount", 840, 420, 24),
            ("Teak shelf", 60, 465, 24),
            ("2", 570, 465, 24),
            ("120.00", 680, 465, 24),
            ("240.00", 840, 465, 24),
            ("Brass lamp", 60, 505, 24),
            ("1", 570, 505, 24),
            ("89.50", 680, 505, 24),
            ("89.50", 840, 505, 24),
            ("Subtotal", 660, 590, 24),
            ("329.50", 840, 590, 24),
            ("VAT 20%", 660, 630, 24),
            ("65.90", 840, 630, 24),
            ("Total", 660, 680, 28),
            ("GBP 395.40", 820, 680, 28),
        ],
    ),
    "sign": (
        (900, 600),
        [
            ("CITY LIBRARY", 180, 60, 72),
            ("Opening hours", 120, 220, 36),
            ("Monday to Friday: 9:00 - 18:00", 120, 290, 32),
            ("Saturday: 10:00 - 14:00", 120, 345, 32),
            ("Sunday closed", 120, 400, 32),
            ("WiFi password: readmore", 120, 490, 32),
        ],
    ),
    "card": (
        (850, 500),
        [
            ("Dr. Elena Fischer", 60, 70, 48),
            ("Head of Research", 60, 140, 28),
            ("Solaris Optics GmbH", 60, 240, 32),
            ("Tel. +49 89 1234567", 60, 310, 26),
            ("elena.fischer@solaris.example", 60, 355, 26),
            ("www.solaris-optics.com", 60, 400, 26),
        ],
    ),
    "letter": (
        (1000, 1100),
        [
            ("Green Valley Water Company", 60, 60, 36),
            ("3 June 2023", 720, 150, 26),
            ("Customer number: 5520-81", 60, 200, 26),
            ("Dear Ms Porter,", 60, 290, 26),
            ("we will replace the water meter in your house", 60, 350, 26),
            ("on 21 June 2023 between 8:00 and 10:00.", 60, 395, 26),
            ("The replacement is free of charge. Please make", 60, 440, 26),
            ("sure that somebody is at home.", 60, 485, 26),
            ("Your technician is Paul Reyes.", 60, 560, 26),
            ("Yours sincerely", 60, 640, 26),
            ("Martha Klein", 60, 690, 26),
        ],
    ),
}


def paint(name: str) -> np.ndarray:
    """A picture as RGB pixels: one of LAYOUTS, or `flower` or `china` of scikit-learn."""
    if name not in LAYOUTS:
        from sklearn.datasets import load_sample_image

        return np.asarray(load_sample_image(f"{name}.jpg"))
    size, lines = LAYOUTS[name]
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    for text, left, top, height in lines:
        draw.text((left, top), text, font=ImageFont.load_default(size=height), fill=(20, 20, 30))
    return np.asarray(image)
