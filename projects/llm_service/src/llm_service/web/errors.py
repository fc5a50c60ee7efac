"""How errors appear in the OpenAPI document."""

from typing import Any

from pydantic import Field

from seedbed.server.service import ErrorDetail, ErrorResponse


class OpenAIErrorDetail(ErrorDetail):
    """Seedbed's error with OpenAI's two fields."""

    param: str | None = Field(None, description="The invalid field of the request.")
    code: str | None = Field(None, description="OpenAI's error code, e.g. `model_not_found`.")


class OpenAIErrorResponse(ErrorResponse):
    """The body of every error response."""

    error: OpenAIErrorDetail


ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {
        "model": OpenAIErrorResponse,
        "description": "The request is wrong, not permitted, or above a limit; after a 429, "
        "`Retry-After` gives the seconds to wait.",
    },
    "5XX": {"model": OpenAIErrorResponse, "description": "The model is unavailable or too slow."},
}
"""The error responses of all routes."""
