"""What Connect and gRPC-Web have in common: codecs, envelopes, compression of single messages, statuses."""
