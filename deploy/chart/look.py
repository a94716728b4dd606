"""Looks into what the chart makes, for `cargo xtask deploy`.

    look.py documented CHART               every value is described by the schema, and the schema knows no other
    look.py rules RENDERED FILE            the rules of the PrometheusRule, as promtool reads them
    look.py configurations RENDERED FOLDER the roles' configurations, with files where they name secrets; prints their paths
    look.py reaches RENDERED               the ports that the policy of each role lets it reach, one role a line
    look.py expected RENDERED FOLDER       the topics, the users' rights and the configuration, for the program's tests
"""
import json
import pathlib
import re
import sys

import yaml

MOUNTED = "/etc/sinyal/"
# Long enough for every secret, and of the form of those that have one.
SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


def documented(chart):
    schema = json.loads((chart / "values.schema.json").read_text())
    values = yaml.safe_load((chart / "values.yaml").read_text())
    wrong = []

    def described(of, path):
        if "$ref" in of:
            of = {**schema["definitions"][of["$ref"].rsplit("/", 1)[1]], **of}
        if not of.get("description"):
            wrong.append(f"values.schema.json: {path} has no description")
        return of

    def walk(of, value, path):
        for name, inner in of.get("properties", {}).items():
            here = f"{path}.{name}".lstrip(".")
            inner = described(inner, here)
            if not isinstance(value, dict) or name not in value:
                # Kubernetes' own, and Helm's.
                if here != "global" and not re.search(r"resources\.(requests|limits)", here):
                    wrong.append(f"values.yaml: {here} is missing, which the schema knows")
            elif inner.get("properties"):
                walk(inner, value[name], here)

    walk(schema, values, "")
    if wrong:
        sys.exit("\n".join(wrong))


def documents(rendered):
    return [document for document in yaml.safe_load_all(rendered.read_text()) if document]


def rules(rendered, file):
    [rule] = [document for document in documents(rendered) if document["kind"] == "PrometheusRule"]
    file.write_text(yaml.safe_dump(rule["spec"], allow_unicode=True))


def configurations(rendered, folder):
    for document in documents(rendered):
        if document["kind"] != "ConfigMap":
            continue
        for name, text in document["data"].items():
            if not name.endswith(".toml") or name == "communities.toml":
                continue
            for path in set(re.findall(f'"{MOUNTED}([^"]+)"', text)):
                file = folder / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text("" if path.startswith("communities/") else SECRET)
            out = folder / f"{document['metadata']['name']}-{name}"
            out.write_text(text.replace(MOUNTED, f"{folder}/"))
            print(out)


def reaches(rendered):
    for document in documents(rendered):
        if document["kind"] == "NetworkPolicy":
            ports = {port["port"] for rule in document["spec"]["egress"] for port in rule["ports"]}
            role = document["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
            print(f"{role}:", *sorted(ports))


def expected(rendered, folder):
    topics = []
    acls = {}
    for document in documents(rendered):
        spec = document.get("spec")
        if document["kind"] == "KafkaTopic":
            config = [f"{name}={value}" for name, value in sorted(spec.get("config", {}).items())]
            topics.append(" ".join([spec["topicName"], str(spec["partitions"]), str(spec["replicas"]), *config]))
        elif document["kind"] == "KafkaUser":
            acls[document["metadata"]["name"]] = spec["authorization"]["acls"]
        elif document["kind"] == "ConfigMap" and "test.toml" in document["data"]:
            (folder / "sinyal.toml").write_text(document["data"]["test.toml"])
    (folder / "topics.txt").write_text("".join(f"{topic}\n" for topic in sorted(topics)))
    (folder / "acls.json").write_text(json.dumps(acls, indent=2) + "\n")


if __name__ == "__main__":
    look = {
        "documented": documented,
        "rules": rules,
        "configurations": configurations,
        "reaches": reaches,
        "expected": expected,
    }
    look[sys.argv[1]](*map(pathlib.Path, sys.argv[2:]))
