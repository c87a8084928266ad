"""protovalidate's rules as JSON Schema where it has keywords for them, and as sentences where it has none.

buf/validate/validate.proto defines the rules.
"""
