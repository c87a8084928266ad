"""The parts that all transcoding endpoints of a contract share."""

from dataclasses import dataclass, replace

from edge.contract.method import Method
from edge.http.whole_body import BodyLimits
from edge.protojson.readers import Readers
from edge.protojson.writer import MessageWriter
from edge.reply.response_writer import JsonStyle
from mesh.contract.message_size import request_bytes_max
from mesh.validation import Validator


@dataclass(frozen=True, slots=True)
class Transcoding:
    """The writer, readers, validator, style and limits of a contract's transcoding endpoints."""

    messages: MessageWriter
    readers: Readers
    validator: Validator
    style: JsonStyle
    limits: BodyLimits

    def body_limits(self, method: Method) -> BodyLimits:
        """Returns the limits of a request message of a method, which are lower than the general ones if the contract's
        rules imply a smaller message.
        """
        size_bytes_max = request_bytes_max(method.desc.input, self.limits.size_bytes_max)
        return replace(self.limits, size_bytes_max=size_bytes_max)
