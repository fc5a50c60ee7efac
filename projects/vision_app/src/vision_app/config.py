"""The settings of vision_app, read from the environment (`VISION_*`) and from `.env`.

    load(Config, max_pages=5)                       # with `seedbed.settings.load`
    VISION_MAX_PAGES=5 vision-app read report.pdf   # the same from a shell

The descriptions below are also the comments in `.env.example`.
"""

from pathlib import Path

from pydantic import Field

from seedbed.settings import ProjectSettings


class Config(ProjectSettings, env_prefix="VISION_"):
    """Models, limits and storage. A wrong value raises ConfigError with the variable's name."""

    data_dir: Path = Field(
        Path("var/vision_app"),
        description="Folder of the image index and of classifiers that you trained.",
    )
    classifier: str = Field(
        "efficientnet-lite0",
        description="Image classifier: a name from the catalogue, path:DIR of one that you trained,"
        " or hf:ORG/REPO (extra `hub`). The default has the 1,000 classes of ImageNet.",
    )
    min_confidence: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Calibrated confidence below which a classification is reported as not sure."
        " Raise it when a wrong label costs more than none.",
    )
    search_model: str | None = Field(
        None,
        description="CLIP or SigLIP model that embeds images and texts for search, hf:ORG/REPO or"
        " path:DIR (extra `hub`). Default: features and labels of the classifier, and OCR.",
    )
    max_file_mb: int = Field(
        25, ge=1, description="Maximum size of a file in megabytes. Larger files are refused."
    )
    max_megapixels: int = Field(
        50,
        ge=1,
        description="Maximum size of a decoded image in millions of pixels; each million takes"
        " 3 MB of memory. Larger images are refused before they are decoded.",
    )
    max_pages: int = Field(
        20,
        ge=1,
        description="Number of PDF pages that are read. The rest of a longer document is left out,"
        " with a warning.",
    )
    queue: int = Field(
        32,
        ge=1,
        description="Number of images that may wait for the models. A full server answers 429.",
    )
