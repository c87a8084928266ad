"""A strict ProtoJSON reader that reports every violation with its path, and a writer for every readable message.

https://protobuf.dev/programming-guides/json/ defines the format. protobuf-py's own reader is fast but lenient: it keeps
the last of duplicate keys, accepts "1_000" and "+1" as numbers, stops at the first error without its path, and crashes
the process on deeply nested brackets. Therefore requests are read here. Responses are written by protobuf-py, and by
writer.py where protobuf-py rejects a value.
"""
