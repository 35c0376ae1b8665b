"""Validate objects by the schemas of the API server: names and types of fields."""

import functools

import jsonschema
import kubernetes_validate
import yaml

from tests.tools.go import CRDS


class _Loader(yaml.SafeLoader):
    """Accepts a bare `=`, a value of an enum in one of the definitions."""


_Loader.add_constructor("tag:yaml.org,2002:value", lambda loader, node: loader.construct_scalar(node))


def validate(made, kubernetes):
    """Raise ValidationError of one of the two libraries. Unknown fields are errors."""
    group = made["apiVersion"].partition("/")[0]
    if group.endswith((".coreos.com", ".openshift.io")):
        jsonschema.validate(made, _custom()[group, made["kind"]])
    else:
        kubernetes_validate.validate(made, kubernetes, strict=True)


@functools.cache
def _custom():
    schemas = {}
    for file in CRDS.glob("*.yaml"):
        definition = yaml.load(file.read_text(), _Loader)["spec"]
        for version in definition["versions"]:
            schema = _strict(version["schema"]["openAPIV3Schema"])
            schema["properties"]["metadata"] = {"type": "object"}
            schemas[definition["group"], definition["names"]["kind"]] = schema
    return schemas


def _strict(schema):
    """Return the schema as the API server reads it: unknown fields are errors, and its own keywords are translated."""
    if isinstance(schema, list):
        return [_strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _strict(value) for key, value in schema.items()}
    if "properties" in made and "additionalProperties" not in made:
        made["additionalProperties"] = bool(made.get("x-kubernetes-preserve-unknown-fields"))
    if isinstance(made.get("pattern"), str):
        made["pattern"] = made["pattern"].replace("^(?i)", "(?i)^")  # Python requires flags at the start
    if made.get("x-kubernetes-int-or-string") is True:
        made["type"] = ["integer", "string"]
    if made.get("nullable") is True and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    return made
