"""The FastAPI application of the control surface. `build` is called once, in a thread, by the door."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from addons.control import about, admin, configuring, numbers, providers, tokens
from addons.control.errors import Refused
from addons.control.shapes import Error

if TYPE_CHECKING:
    from addons.running import Running

logger = logging.getLogger("llm_link")

_ALWAYS: dict[int | str, dict[str, Any]] = {
    401: {"model": Error, "description": "Keys are set, and the request carries none or a wrong one."},
    403: {"model": Error, "description": "No keys are set, and the request is not from this machine or its own page."},
    413: {"model": Error, "description": "The body is too large."},
    500: {"model": Error, "description": "A mistake of LLM Link; its log says more."},
}
_BODY = {
    "400": "The body or a parameter is wrong; `field` says where.",
    "415": "The content type is not application/json.",
}
_ERROR = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}


_PARAMETER = re.compile(r"\{\w+\}")  # of a path in the document
_FORMS = ("import", "rows", "row")  # how pydantic names the forms of an import, where a place is meant


def build(running: Running) -> FastAPI:
    """The application for one running proxy."""
    app = FastAPI(
        title="LLM Link: control surface",
        version=running.version,
        description="What a running LLM Link shows and takes. Keys of `control.keys` as `Authorization: Bearer`.",
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=_ALWAYS,
    )
    for module in (about, admin, configuring, numbers, providers, tokens):
        app.include_router(module.router(running))
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _wrong)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RecursionError, _deep)
    made = app.openapi
    app.openapi = lambda: app.openapi_schema or _documented(made())  # type: ignore[method-assign]
    app.openapi()  # here, and not while somebody waits
    return app


def _documented(document: dict[str, Any]) -> dict[str, Any]:
    """What FastAPI cannot know: 422 is never said, and writes are checked at the door."""
    components = document.setdefault("components", {})
    components["securitySchemes"] = {"control_key": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"control_key": []}, {}]
    for unused in ("HTTPValidationError", "ValidationError"):
        components.get("schemas", {}).pop(unused, None)
    for operations in document["paths"].values():
        for operation in operations.values():
            responses = operation["responses"]
            takes = responses.pop("422", None) is not None or "requestBody" in operation
            for status, text in _BODY.items() if takes else ():
                responses.setdefault(status, {"description": text, "content": _ERROR})
    return document


def _answer(refused: Refused) -> Response:
    return Response(refused.body(), refused.status, refused.headers, "application/json")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return _answer(error)


async def _wrong(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    steps = [str(step) for step in first["loc"][1:] if step not in _FORMS]
    where = ".".join(steps) if first["type"] != "json_invalid" else ""
    message = "the body is no valid JSON" if first["type"] == "json_invalid" else first["msg"]
    return _answer(Refused(400, f"{where}: {message}" if where else message, where))


async def _deep(request: Request, error: Exception) -> Response:
    return _answer(Refused(400, "the body is nested too deeply"))


async def _http(request: Request, error: Exception) -> Response:
    """What Starlette refuses itself: paths and methods that are not there."""
    assert isinstance(error, HTTPException)
    said = {404: f"there is nothing at {request.url.path}", 405: f"{request.url.path} does not take {request.method}"}
    message = said.get(error.status_code, error.detail)
    allow = {"allow": ", ".join(methods_at(request.app, request.scope["path"]))} if error.status_code == 405 else {}
    return _answer(Refused(error.status_code, message, headers=allow))


def methods_at(app: FastAPI, path: str) -> list[str]:
    """What a path takes, by the document: where it stands there as it is, no pattern counts."""
    if path == app.openapi_url:
        return ["GET"]
    paths = app.openapi()["paths"]
    fitting = [path] if path in paths else [p for p in paths if re.fullmatch(_PARAMETER.sub("[^/]+", p), path)]
    return sorted({method.upper() for found in fitting for method in paths[found]})
