"""Stored events in the forms that partners get: CloudEvents' JSON, and the contract's."""

from datetime import datetime

import orjson
from administration.exchange.v1 import exchange_pb2
from google.protobuf import json_format

from services.exchange.feeds import FeedEventRow

# CloudEvents 1.0, JSON event format, structured mode over HTTP.
CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"


def body(row: FeedEventRow) -> bytes:
    """The event as the body of a webhook's call."""
    return orjson.dumps(
        {
            **row.attributes,
            "datacontenttype": "application/json",
            "data": orjson.Fragment(row.data),
        }
    )


def cloud_event(row: FeedEventRow) -> exchange_pb2.CloudEvent:
    """The event as feeds tell it."""
    attributes = row.attributes
    message = exchange_pb2.CloudEvent(
        specversion=attributes["specversion"],
        id=attributes["id"],
        source=attributes["source"],
        type=attributes["type"],
        subject=attributes["subject"],
        datacontenttype="application/json",
        dataschema=attributes.get("dataschema", ""),
        traceparent=attributes.get("traceparent", ""),
    )
    message.time.FromDatetime(datetime.fromisoformat(attributes["time"]))
    json_format.Parse(row.data, message.data)
    return message
