"""JSON Schemas of a contract's types as ProtoJSON writes them."""
