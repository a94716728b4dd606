"""Checks signatures by Standard Webhooks, from its specification alone.

Usage: verify_webhooks.py SECRET < LINES, each an object with notification_id, id, timestamp, signature and body
"""

import base64
import hashlib
import hmac
import json
import sys


def main():
    secret = sys.argv[1]
    assert secret.startswith("whsec_"), "a secret begins with whsec_"
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    for line in sys.stdin:
        sent = json.loads(line)
        signed = f"{sent['id']}.{sent['timestamp']}.{sent['body']}".encode()
        expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        digest = hashlib.sha256(sent["notification_id"].encode()).hexdigest()
        if sent["id"] != digest:
            sys.exit(f"{sent['id']} is not the digest of {sent['notification_id']}")
        if not hmac.compare_digest(expected, sent["signature"]):
            sys.exit(f"{sent['id']}: {sent['signature']} is not {expected}")


main()
