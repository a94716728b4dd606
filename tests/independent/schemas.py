"""Values in single-object encoding, read by the version of the schema that their fingerprint names, as the current one."""

import io
import json

import fastavro


def without_logical_types(schema):
    """Times stay the numbers that they are on the wire."""
    if isinstance(schema, dict):
        return {k: without_logical_types(v) for k, v in schema.items() if k != "logicalType"}
    if isinstance(schema, list):
        return [without_logical_types(s) for s in schema]
    return schema


def versions_of(path):
    """The current version, and every one by its fingerprint."""
    texts = [path, *sorted((path.parent / "released" / path.stem).glob("*.avsc"))]
    texts = [json.loads(text.read_text(encoding="utf-8")) for text in texts]
    by_fingerprint = {}
    for text in texts:
        canonical = fastavro.schema.to_parsing_canonical_form(text)
        fingerprint = fastavro.schema.fingerprint(canonical, "CRC-64-AVRO")
        by_fingerprint[bytes.fromhex(fingerprint)] = fastavro.parse_schema(without_logical_types(text))
    return fastavro.parse_schema(without_logical_types(texts[0])), by_fingerprint


def decode(value, schema, by_fingerprint):
    """A value as the current version of its schema has it."""
    header, writer = 5, schema
    if value[:2] == b"\xc3\x01":
        header, writer = 10, by_fingerprint[value[2:10]]
    return fastavro.schemaless_reader(io.BytesIO(value[header:]), writer, schema)
