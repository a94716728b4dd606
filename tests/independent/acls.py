"""Changes and tells the access control lists of a Kafka, one order a line, each answered by a line.

Usage: acls.py BOOTSTRAP; an order is {"do": "add" | "remove" | "list", "acls": [ACL, ...]}, an ACL is
{"principal", "resource", "name", "pattern", "operation"} in Kafka's words.
"""

import json
import sys
import time

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

RESOURCES = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional-id": ResourceType.TRANSACTIONAL_ID,
}


def name_of(value):
    return value.name.replace("_", "").lower()


def operation(name):
    return next(value for value in AclOperation if name_of(value) == name.lower())


def binding(acl, kind):
    return kind(
        RESOURCES[acl["resource"]],
        acl["name"],
        ResourcePatternType[acl["pattern"].upper()],
        acl["principal"],
        "*",
        operation(acl["operation"]),
        AclPermissionType.ALLOW,
    )


def every():
    return AclBindingFilter(
        ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY
    )


def told(found):
    resource = next(name for name, value in RESOURCES.items() if value == found.restype)
    return {
        "principal": found.principal,
        "resource": resource,
        "name": found.name,
        "pattern": found.resource_pattern_type.name.lower(),
        "operation": name_of(found.operation),
    }


def shown(acl):
    return (acl["principal"], acl["resource"], acl["name"], acl["pattern"].lower(), acl["operation"].lower())


def settle(admin, acls, there):
    """Waits until the broker goes by them: the controller answers before brokers have heard of it."""
    wanted = {shown(acl) for acl in acls}
    end = time.monotonic() + 60
    while True:
        known = wanted & {shown(told(found)) for found in admin.describe_acls(every()).result(30)}
        if known == (wanted if there else set()):
            return
        if time.monotonic() > end:
            raise TimeoutError("the broker does not go by what was changed")
        time.sleep(0.05)


def main():
    admin = AdminClient({"bootstrap.servers": sys.argv[1]})
    for line in sys.stdin:
        order = json.loads(line)
        answer = []
        if order["do"] == "add":
            for future in admin.create_acls([binding(acl, AclBinding) for acl in order["acls"]]).values():
                future.result(30)
            settle(admin, order["acls"], True)
        elif order["do"] == "remove":
            removed = admin.delete_acls([binding(acl, AclBindingFilter) for acl in order["acls"]])
            answer = [told(found) for future in removed.values() for found in future.result(30)]
            settle(admin, order["acls"], False)
        else:
            answer = [told(found) for found in admin.describe_acls(every()).result(30)]
        print(json.dumps(answer), flush=True)


main()
