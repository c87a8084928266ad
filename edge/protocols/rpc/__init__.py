"""The common parts of Connect and gRPC-Web: codecs, envelopes, compression of single messages, statuses."""
