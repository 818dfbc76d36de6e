"""The JSON Schema of matrix.yml, for editors; generated from the model, so the two cannot drift apart."""

from __future__ import annotations

import json

from matrix.table.model import Config


def json_schema() -> str:
    """The schema as text, ending in a newline."""
    schema = Config.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(schema, indent=1, sort_keys=True) + "\n"
