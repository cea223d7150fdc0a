"""The description of requests and answers, as OpenAPI has it."""

from importlib.metadata import version
from typing import Any

from lenetscope.export.predictor import Predictor
from lenetscope.pictures.files import FORMATS
from lenetscope.serving import Limits

ERRORS = {
    "400": "The body is empty, or not what its content type says.",
    "405": "The path is known, and not with this method.",
    "408": "The body did not arrive in time.",
    "413": "The body has too many bytes.",
    "415": "The content type is none of these.",
    "422": "It is not a picture, or no image of this network.",
    "503": "Too many requests at the same time, or no prediction in time; try again later.",
}


def describe(predictor: Predictor, limits: Limits) -> dict[str, Any]:
    """Return the description of what is served."""
    channels, height, width = predictor.image_shape
    pixels = {"type": "integer", "minimum": 0, "maximum": 255}
    image = _fixed(_fixed(pixels, width), height)
    shapes = [_fixed(image, channels)] + [image] * (channels == 1)
    picture = {"type": "string", "contentEncoding": "base64", "maxLength": limits.max_bytes}
    many = {"minItems": 1, "maxItems": limits.max_images}
    lists = [{"type": "array", "items": each, **many} for each in (*shapes, picture)]
    single = [shapes[-1], picture]
    images = {
        "description": "Images as numbers, or as base64 of picture files; or one image.",
        "anyOf": [*lists, *single],
    }
    binary: dict[str, Any] = {"type": "string", "format": "binary", "minLength": 1}
    form = _object({"image": {"type": "array", "items": binary, **many}})
    kinds = ["image/png", "image/jpeg", "image/*", "application/octet-stream"]
    body = {
        **{kind: {"schema": binary} for kind in kinds},
        "multipart/form-data": {"schema": form},
        "application/json": {"schema": _object({"images": images}, additionalProperties=False)},
    }
    probability = {"type": "number", "minimum": 0, "maximum": 1.001}
    prediction = _object(
        {
            "label": {"enum": list(predictor.classes)},
            "probability": probability,
            "probabilities": _object(dict.fromkeys(predictor.classes, probability)),
        },
    )
    prediction["properties"]["warning"] = {"type": "string"}
    answer = _object({"predictions": {"type": "array", "items": prediction, **many}})
    health = _object(
        {
            "status": {"const": "ready"},
            "image_shape": _fixed({"type": "integer"}, 3),
            "classes": {"type": "array", "items": {"type": "string"}},
        }
    )
    size = f"{channels}x{height}x{width}"
    return {
        "openapi": "3.1.0",
        "info": {"title": "lenetscope serve", "version": version("lenetscope")},
        "paths": {
            "/predict": {
                "post": {
                    "operationId": "predict",
                    "summary": "Predict the class of each image.",
                    "description": f"Pictures ({', '.join(FORMATS)}) are resized to {size}.",
                    "requestBody": {"required": True, "content": body},
                    "responses": {"200": _json("One prediction per image.", answer), **_errors()},
                }
            },
            "/health": _get("health", "Whether the network is ready.", _json("It is.", health)),
            "/metrics": _get("metrics", "Counters, for Prometheus.", _text("text/plain")),
            "/openapi.json": _get("openapi", "This description.", _json("It.", {"type": "object"})),
            "/": _get("page", "A page for people.", _text("text/html")),
        },
        "components": {"schemas": {"Error": _object({"error": {"type": "string"}})}},
    }


def _object(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), **more}


def _fixed(items: dict[str, Any], length: int) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": length, "maxItems": length}


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _text(kind: str) -> dict[str, Any]:
    return {"description": "It.", "content": {kind: {"schema": {"type": "string"}}}}


def _get(name: str, summary: str, answer: dict[str, Any]) -> dict[str, Any]:
    responses = {"200": answer, "405": _errors()["405"]}
    return {"get": {"operationId": name, "summary": summary, "responses": responses}}


def _errors() -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Error"}
    return {status: _json(text, schema) for status, text in ERRORS.items()}
