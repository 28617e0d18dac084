"""The OpenAPI document of the champion: its inputs, and an example with the answer that it really gives."""

from typing import Any

from ml.bundle import Bundle
from ml.contract import Column

TYPES: dict[str, dict[str, Any]] = {
    "text": {"type": "string"},
    "integer": {"type": "integer"},
    "double": {"type": "number"},
    "boolean": {"type": "boolean"},
    "timestamp": {"type": "string"},  # local time without a zone, so not the format date-time
    "date": {"type": "string", "format": "date"},
}
IDS = {"request_id": {"type": "string"}, "model_version": {"type": "string"}}
ERROR: dict[str, Any] = {
    "type": "object",
    "properties": {"error": {"type": "string"}, "request_id": {"type": "string"}},
    "required": ["error", "request_id"],
}


def describe_service(bundle: Bundle, answered_example: dict[str, Any]) -> dict[str, Any]:
    """OpenAPI 3.1 for the routes that depend on the champion. `answered_example`: the body that answers its example."""
    contract = bundle.contract
    target = next(column for column in contract.columns if column.role == "target")
    one = {
        "prediction": {"type": "number", "description": f"{target.name}: {target.description}"},
        "interval": {
            "type": ["array", "null"],
            "items": {"type": "number"},
            "minItems": 2,
            "maxItems": 2,
            "description": "Holds the truth with the stated coverage; null where the prediction is a probability.",
        },
        "flags": {"type": "array", "items": {"type": "string"}, "description": "Rules that the row breaks and that do not refuse it."},
    }
    row = {
        "type": "object",
        "properties": {column.name: _property(column) for column in contract.inputs},
        "required": [column.name for column in contract.inputs if column.required],
        "additionalProperties": False,
    }
    refusal = {
        "type": "object",
        "properties": {
            "row": {"type": "integer"},
            "field": {"type": "string"},
            "rule": {"type": "string"},
            "value": {},
            "message": {"type": "string"},
        },
    }
    single = {"type": "object", "properties": {**IDS, **one}, "required": [*IDS, *one]}
    several = {
        "type": "object",
        "properties": {**IDS, "predictions": {"type": "array", "items": {"type": "object", "properties": one, "required": list(one)}}},
        "required": [*IDS, "predictions"],
    }
    example = {key: value for key, value in answered_example.items() if key != "predictions"} | answered_example["predictions"][0]
    errors = {
        code: {"description": text, "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}}
        for code, text, schema in (
            ("400", "The body is not JSON, or an empty list.", "Error"),
            ("413", "Too many rows or bytes.", "Error"),
            ("422", "A row breaks a rule; nothing was predicted.", "Refused"),
            ("503", "No champion is loaded yet.", "Error"),
        )
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": f"{contract.project}: {target.name}", "version": bundle.id, "description": target.description},
        "paths": {
            "/predict": {
                "post": {
                    "operationId": "predict",
                    "summary": f"Predict {target.name} for one row or a list of rows",
                    "requestBody": {
                        "required": True,
                        "content": {
                            "application/json": {
                                "schema": {
                                    "oneOf": [
                                        {"$ref": "#/components/schemas/Row"},
                                        {"type": "array", "items": {"$ref": "#/components/schemas/Row"}},
                                    ]
                                },
                                "example": contract.example(),
                            }
                        },
                    },
                    "responses": {
                        "200": {
                            "description": "One answer for a row, or an answer a row for a list.",
                            "content": {
                                "application/json": {
                                    "schema": {
                                        "oneOf": [{"$ref": "#/components/schemas/Answer"}, {"$ref": "#/components/schemas/Answers"}]
                                    },
                                    "example": example,
                                }
                            },
                        },
                        **errors,
                    },
                }
            },
            "/contract": {
                "get": {
                    "operationId": "contract",
                    "summary": "Inputs, rules and limits of the champion",
                    "responses": {"200": {"description": "The contract.", "content": {"application/json": {"schema": {"type": "object"}}}}},
                }
            },
            **{
                path: {"get": {"operationId": name, "summary": text, "responses": {"200": {"description": text}}}}
                for path, name, text in (
                    ("/livez", "live", "The process answers"),
                    ("/readyz", "ready", "The champion is loaded"),
                    ("/metrics", "metrics", "Prometheus metrics"),
                )
            },
        },
        "components": {
            "schemas": {
                "Row": row,
                "Answer": single,
                "Answers": several,
                "Error": ERROR,
                "Refused": {
                    "type": "object",
                    "properties": {
                        **ERROR["properties"],
                        "refusals": {"type": "array", "items": refusal},
                        "refusal_count": {"type": "integer"},
                    },
                    "required": ["error", "request_id", "refusals"],
                },
            }
        },
    }


def _property(column: Column) -> dict[str, Any]:
    shown = {**TYPES[column.type], "description": f"{column.description}{f' Unit: {column.unit}.' if column.unit else ''}"}
    return shown if column.example is None else {**shown, "examples": [column.example]}
