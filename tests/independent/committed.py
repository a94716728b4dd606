"""Prints what a group has committed of a topic, as one JSON object: partition to the next offset, null where it has none.

Usage: committed.py BOOTSTRAP GROUP TOPIC
"""

import json
import sys

from confluent_kafka import Consumer, TopicPartition


def main():
    bootstrap, group, topic = sys.argv[1:4]
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group})
    partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
    committed = consumer.committed([TopicPartition(topic, p) for p in partitions], timeout=30)
    # A group that has committed nothing of a partition is told as a negative offset.
    print(json.dumps({at.partition: at.offset if at.offset >= 0 else None for at in committed}))
    consumer.close()


main()
