"""Start Linden and the servers it needs on a bare machine: for `make run` and `make test`.

Standard library, psycopg and aiosmtpd only; nothing here imports Django.
"""
