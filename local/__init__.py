"""The local mesh: the processes of `make up` on one machine, and the servers that tests use as database and broker."""
