"""ProtoJSON read strictly, every violation named: https://protobuf.dev/programming-guides/json/.

protobuf-py's own reader is fast and lenient: of a key given twice it keeps the last, it takes "1_000" and "+1" for
numbers, stops at the first problem without saying where it is, and brackets nested deep enough crash the process.
So requests are read here; responses are written by protobuf-py, and what it refuses to write by writing.py.
"""
