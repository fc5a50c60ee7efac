"""The layout of the web page."""

from __future__ import annotations

import gradio as gr

from vision_app.vision import Vision


def build_page(vision: Vision) -> gr.Blocks:  # noqa: ARG001
    """The page of one app, which `seedbed.server.ui.mount` adds to an application."""
    with gr.Blocks(title="Understand images", analytics_enabled=False) as page:
        gr.Markdown("# Understand images")
    return page
