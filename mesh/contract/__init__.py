"""The contracts' declarations, read from descriptors: policies of methods, rules of fields, sizes of messages."""
