"""The local mesh: what `make up` runs on one machine, and what the tests start their database and broker with."""
