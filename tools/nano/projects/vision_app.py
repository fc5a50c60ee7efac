"""The fields and the text of a picture of an invoice, and a page at `/`.

curl -s http://127.0.0.1:8000/extract -F picture=@invoice.png
"""

from typing import Any

import gradio as gr
from fastapi import FastAPI, HTTPException, UploadFile
from PIL import Image, UnidentifiedImageError

from .app import look


def add_routes(app: FastAPI) -> None:
    @app.post("/extract")
    def extract(picture: UploadFile) -> dict[str, Any]:
        try:
            fields, text = look(picture.file)
        except (UnidentifiedImageError, Image.DecompressionBombError) as error:
            raise HTTPException(400, str(error)) from None
        return {"fields": fields, "text": text}

    picture, text = gr.Image(type="filepath", label="Picture"), gr.Textbox(label="Text")
    page = gr.Interface(look, picture, [gr.JSON(label="Fields"), text], flagging_mode="never")
    gr.mount_gradio_app(app, page, "/")
