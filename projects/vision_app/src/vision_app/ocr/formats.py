"""Moved to `page.py`."""

from vision_app.ocr.page import as_hocr, as_json, as_text

__all__ = ["as_hocr", "as_json", "as_text"]
