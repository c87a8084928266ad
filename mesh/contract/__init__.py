"""What contracts declare, read from their descriptors: policies of methods, rules of fields, sizes of messages."""
