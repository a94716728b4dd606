"""Reads a topic to its end, committed records only, and prints each as a line of JSON.

Usage: read_topic.py BOOTSTRAP TOPIC [SCHEMA.avsc]

A record in single-object encoding is read by the version that its fingerprint names, current or released, as the current one.
"""

import json
import pathlib
import sys

from confluent_kafka import Consumer, KafkaError, TopicPartition

from schemas import decode, versions_of


def main():
    bootstrap, topic = sys.argv[1:3]
    schema, by_fingerprint = None, {}
    if len(sys.argv) > 3:
        schema, by_fingerprint = versions_of(pathlib.Path(sys.argv[3]))
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
                value = decode(value, schema, by_fingerprint)
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
