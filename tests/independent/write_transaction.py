"""Writes records in one transaction, and commits or aborts it.

Usage: write_transaction.py BOOTSTRAP TOPIC commit|abort < LINES, each an object with key and value, the value in hexadecimal
"""

import json
import sys

from confluent_kafka import Producer


def main():
    bootstrap, topic, end = sys.argv[1:4]
    producer = Producer(
        {"bootstrap.servers": bootstrap, "transactional.id": f"{topic}-writer", "partitioner": "murmur2_random"}
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    for line in sys.stdin:
        record = json.loads(line)
        producer.produce(topic, key=record["key"].encode(), value=bytes.fromhex(record["value"]))
    producer.flush(30)
    if end == "commit":
        producer.commit_transaction(30)
    else:
        producer.abort_transaction(30)


main()
