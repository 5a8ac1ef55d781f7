"""Kafka. Messages are keyed by symbol, confirmed by the brokers, and say which run sent them, with which number.

``Producer`` publishes and confirms in the background, ``SpoolingProducer`` through outages too; ``Consumer`` reads in
polls and commits only the offsets that its caller passes; ``Inspector`` reads a topic without joining a group.
Delivery is at least once: a message is (topic id, partition, offset), an event is (run_id, symbol, seq), and an event
that had to be sent again keeps its seq. ``StreamError`` names the broker and the setting to look at.
"""

from stocklib.stream.broker import check, create_topics, topic_ids
from stocklib.stream.consumer import Consumer, Partition
from stocklib.stream.inspector import Inspector, Position
from stocklib.stream.messages import Message, TopicIdPartition, UnreadableBatch, event_seq
from stocklib.stream.producer import Producer
from stocklib.stream.spooling import SpoolingProducer

__all__ = [
    "Consumer",
    "Inspector",
    "Message",
    "Partition",
    "Position",
    "Producer",
    "SpoolingProducer",
    "TopicIdPartition",
    "UnreadableBatch",
    "check",
    "create_topics",
    "event_seq",
    "topic_ids",
]
