"""The generated protobuf class, under a name that a type checker accepts; its fields are known only at run time."""

from typing import Any

from gongshu.gather.connectors.mqtt import sparkplug_b_pb2

Payload: Any = getattr(sparkplug_b_pb2, "Payload")  # noqa: B009 - the attribute is made when the module loads

__all__ = ["Payload"]
