"""The edge: REST/JSON in front of any gRPC backend whose contract carries google.api.http rules.

Its packages are layers, each of which imports only those below it: app, openapi and protocols, reply, bind and sources,
call, http, contract, and at the bottom httprule and protojson, which stand alone. import-linter enforces this.
"""
