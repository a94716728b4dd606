"""Follows topics from their beginning, committed records only, until its standard input ends and all that is there is read.

Usage: follow_topics.py BOOTSTRAP FOLDER COMMUNITY,COMMUNITY,... TOPIC:SCHEMA.avsc | TOPIC:count | TOPIC:live ...

Of a topic with a schema, records of these communities are left as lines of JSON in FOLDER/TOPIC.jsonl, as read_topic.py prints them. Of a
topic to be counted nothing is kept; of one with `live`, which keys have a value. Every few seconds, and at the end, a line of JSON
tells of each topic: records, those of them that have a key, bytes of keys and values, and keys that have a value.
"""

import json
import pathlib
import sys
import threading
import time
import urllib.parse

from confluent_kafka import Consumer, KafkaError, TopicPartition

from schemas import decode, versions_of

SAY_EVERY = 5
BATCH = 1000


class Topic:
    """What is known of a topic."""

    def __init__(self, name, what, folder):
        self.name = name
        self.records = self.keyed = self.bytes = 0
        self.live = set() if what == "live" else None
        self.schema = self.file = None
        if what not in ("live", "count"):
            self.schema, self.by_fingerprint = versions_of(pathlib.Path(what))
            self.file = open(folder / f"{name}.jsonl", "w", encoding="utf-8")

    def take(self, message, communities):
        key, value = message.key(), message.value()
        self.records += 1
        self.keyed += key is not None
        self.bytes += len(key or b"") + len(value or b"")
        if self.live is not None:
            (self.live.discard if value is None else self.live.add)(hash(key))
        if self.file is None or key is None:
            return
        text = key.decode("utf-8", "replace")
        if urllib.parse.unquote(text.split("|", 1)[0]) not in communities:
            return
        if value is not None:
            value = decode(value, self.schema, self.by_fingerprint)
        record = {"partition": message.partition(), "offset": message.offset(), "key": text, "value": value}
        self.file.write(json.dumps(record) + "\n")

    def told(self):
        live = None if self.live is None else len(self.live)
        return {"records": self.records, "keyed": self.keyed, "bytes": self.bytes, "live": live}


def say(topics):
    print(json.dumps({name: topic.told() for name, topic in topics.items()}), flush=True)


def main():
    bootstrap, folder, communities, *wanted = sys.argv[1:]
    folder, communities = pathlib.Path(folder), set(communities.split(","))
    wanted = [one.split(":", 1) for one in wanted]
    topics = {name: Topic(name, what, folder) for name, what in wanted}
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "independent",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            # Where retention takes a record before it is read, that is to be known.
            "auto.offset.reset": "error",
            "queued.max.messages.kbytes": 32768,
            "fetch.wait.max.ms": 500,
        }
    )
    next_offsets = {}
    for name in topics:
        for partition in consumer.list_topics(name, timeout=30).topics[name].partitions:
            next_offsets[(name, partition)] = 0

    def assign():
        consumer.assign([TopicPartition(topic, partition, at) for (topic, partition), at in next_offsets.items()])

    assign()
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    left, said = None, time.monotonic()
    while left is None or left:
        if left is None and ended.is_set():
            # Assigned anew, each partition tells once more when its end is reached.
            assign()
            left = set(next_offsets)
        for message in consumer.consume(BATCH, timeout=0.5):
            place = (message.topic(), message.partition())
            error = message.error()
            if error is None:
                topics[message.topic()].take(message, communities)
                next_offsets[place] = message.offset() + 1
            elif error.code() == KafkaError._PARTITION_EOF:
                # Behind what marks the ends of transactions: retention may have taken those.
                next_offsets[place] = max(next_offsets[place], message.offset())
                if left is not None:
                    left.discard(place)
            elif error.code() == KafkaError._AUTO_OFFSET_RESET or error.fatal():
                sys.exit(f"{place}: {error}")
        if time.monotonic() - said > SAY_EVERY:
            said = time.monotonic()
            say(topics)
    for topic in topics.values():
        if topic.file is not None:
            topic.file.close()
    say(topics)
    consumer.close()


main()
