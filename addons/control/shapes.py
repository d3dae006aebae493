"""What the control surface says and takes, as pydantic models: its OpenAPI document is made of them.

Here is what all of them are made of, and the error that every page may answer with. What the pages say of the running
proxy is in `facts`, what they change of it in `orders`, what they keep in the store in `stock`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Key = Annotated[str, Field(min_length=1, max_length=4096, json_schema_extra={"format": "password"})]
Text = Annotated[str, Field(min_length=1, max_length=256)]
Address = Annotated[str, Field(min_length=1, max_length=2048)]


class Said(BaseModel):
    """A part of an answer."""


class Asked(BaseModel):
    """A part of a request: what is not known is an error, and a number in quotes is none."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


# ---------------------------------------------------------------------------------------------- errors


class ErrorPart(Said):
    type: str
    message: str
    field: str | None = Field(None, description="which field of the request is wrong, as a path")


class Error(Said):
    """The shape of every error."""

    type: Literal["error"] = "error"
    error: ErrorPart
    current_revision: str | None = Field(None, description="with 412 only: the revision that there is; null: none")
