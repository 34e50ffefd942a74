"""A consumer and its group, when the group has put it out and it hears nothing of that."""

import threading
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from administration.notifications.v1.events_pb2 import EmailAccepted
from kafka import KafkaConsumer
from kafka.admin import KafkaAdminClient

from backbone.database import DatabasePool
from backbone.events import consumer as module
from tests.support.events import Scratch
from tests.support.kafka import internal_options
from tests.support.polling import eventually


class Container:
    """As much of a service's container as a consumer asks for."""

    def __init__(self) -> None:
        self.service_name = f"essai-{uuid.uuid4().hex[:12]}"
        self.threads: list[threading.Thread] = []

    def spawn_managed_thread(self, run: Callable[[], None], identifier: str) -> None:
        self.threads.append(threading.Thread(target=run, name=identifier))
        self.threads[-1].start()


def test_a_consumer_whose_heartbeats_have_stopped_is_replaced(
    scratch: Scratch, stack: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in stack["services"]["notifications"]["environment"].items():
        monkeypatch.setenv(name, value)
    # The shortest session that brokers allow. A look at the silence keeps a member in its group, so
    # that this one, as on a machine that is starved, comes too late for that.
    monkeypatch.setattr(module, "SESSION_SECONDS", 6.0)
    monkeypatch.setattr(module, "SILENCE_SECONDS", 9.0)
    made: list[KafkaConsumer] = []

    def make(*topics: str, **options: Any) -> KafkaConsumer:
        # Whatever is on the topic already, as a bench leaves it, would be read for minutes.
        made.append(KafkaConsumer(*topics, **options | {"auto_offset_reset": "latest"}))
        return made[-1]

    monkeypatch.setattr(module, "KafkaConsumer", make)
    container, admin = Container(), KafkaAdminClient(**internal_options(stack))
    group = container.service_name

    def members() -> set[str]:
        described = admin.describe_groups([group])[group]
        return {member["member_id"] for member in described["members"]}

    consumer = module.EventConsumer()
    consumer.container = container
    consumer.pool = DatabasePool()
    consumer.pool.transactions = scratch.transactions
    consumer.register(EmailAccepted, lambda _: None)
    consumer.start()
    try:
        first = eventually(members, what="a member of the group")
        # What was seen on a starved machine: the library's heartbeats end, and it polls on.
        made[-1]._coordinator._close_heartbeat()
        second = eventually(lambda: len(made) > 1 and members() - first)
        assert len(second) == 1
        assert consumer.check_well() is None or eventually(lambda: consumer.check_well() is None)
    finally:
        consumer.stop()
        admin.close()
        for thread in container.threads:
            thread.join(60)
    assert not any(thread.is_alive() for thread in container.threads)
