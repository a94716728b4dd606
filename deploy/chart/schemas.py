"""Schemas for kubeconform, from where package registries have them.

    schemas.py kubernetes VERSION... FOLDER   from the wheel kubernetes-validate: FOLDER/vVERSION-strict/KIND-GROUP-VERSION.json
    schemas.py crds FILE... FOLDER            from CustomResourceDefinitions:     FOLDER/GROUP/KIND_VERSION.json
"""
import importlib.util
import json
import pathlib
import sys

import yaml


def kubernetes(versions, folder):
    """In the wheel they have addresses and refer to each other by them, which nothing serves here."""
    wheel = pathlib.Path(importlib.util.find_spec("kubernetes_validate").origin).parent / "kubernetes-json-schema"
    for version in versions:
        out = folder / f"v{version}-strict"
        out.mkdir(parents=True, exist_ok=True)
        for file in sorted((wheel / f"v{version}-local-strict").glob("*.json")):
            schema = json.loads(file.read_text().replace('"/api/_definitions.json#', '"_definitions.json#'))
            schema.pop("$id", None)
            (out / file.name).write_text(json.dumps(schema))


def crds(files, folder):
    for file in files:
        for crd in yaml.safe_load_all(pathlib.Path(file).read_text()):
            if not crd or crd.get("kind") != "CustomResourceDefinition":
                continue
            spec = crd["spec"]
            for version in spec["versions"]:
                schema = version["schema"]["openAPIV3Schema"]
                out = folder / spec["group"]
                out.mkdir(parents=True, exist_ok=True)
                # Kubernetes looks at these itself.
                properties = schema.setdefault("properties", {})
                properties.update({"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}})
                strict(schema)
                name = f"{spec['names']['kind'].lower()}_{version['name']}.json"
                (out / name).write_text(json.dumps(schema))


def strict(schema):
    """Refuses what the API server would prune, and says what Kubernetes' own words mean in JSON schema."""
    if isinstance(schema, list):
        for item in schema:
            strict(item)
        return
    if not isinstance(schema, dict):
        return
    if schema.get("x-kubernetes-int-or-string"):
        schema.pop("type", None)
        schema["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if schema.pop("nullable", False) and "type" in schema:
        schema["type"] = [schema["type"], "null"]
    keeps = schema.get("x-kubernetes-preserve-unknown-fields")
    if isinstance(schema.get("properties"), dict):
        if not keeps and "additionalProperties" not in schema:
            schema["additionalProperties"] = False
        for inner in schema["properties"].values():
            strict(inner)
    for key in ("items", "additionalProperties"):
        strict(schema.get(key))


if __name__ == "__main__":
    what, *arguments, last = sys.argv[1:]
    {"kubernetes": kubernetes, "crds": crds}[what](arguments, pathlib.Path(last))
