"""Reads a topic to its end, committed records only, and prints each as a line of JSON.

Usage: read_topic.py BOOTSTRAP TOPIC [SCHEMA.avsc]
"""

import io
import json
import sys

import fastavro
from confluent_kafka import Consumer, KafkaError, TopicPartition


def without_logical_types(schema):
    """Times stay the numbers that they are on the wire."""
    if isinstance(schema, dict):
        return {k: without_logical_types(v) for k, v in schema.items() if k != "logicalType"}
    if isinstance(schema, list):
        return [without_logical_types(s) for s in schema]
    return schema


def main():
    bootstrap, topic = sys.argv[1:3]
    schema = None
    if len(sys.argv) > 3:
        with open(sys.argv[3], encoding="utf-8") as file:
            schema = fastavro.parse_schema(without_logical_types(json.load(file)))
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "independent",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
        }
    )
    partitions = list(consumer.list_topics(topic, timeout=30).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, p, 0) for p in partitions])
    left = set(partitions)
    while left:
        message = consumer.poll(30)
        if message is None:
            sys.exit(f"{topic}: no end of {sorted(left)} within 30 s")
        if message.error():
            if message.error().code() == KafkaError._PARTITION_EOF:
                left.discard(message.partition())
                continue
            sys.exit(f"{topic}: {message.error()}")
        value = message.value()
        if value is not None:
            if schema is None:
                value = value.hex()
            else:
                header = 10 if value[:2] == b"\xc3\x01" else 5
                value = fastavro.schemaless_reader(io.BytesIO(value[header:]), schema)
        print(
            json.dumps(
                {
                    "partition": message.partition(),
                    "offset": message.offset(),
                    "key": None if message.key() is None else message.key().decode("utf-8", "replace"),
                    "headers": {
                        k: None if v is None else v.decode("utf-8", "replace") for k, v in (message.headers() or [])
                    },
                    "value": value,
                }
            )
        )
    consumer.close()


main()
