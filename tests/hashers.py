from django.contrib.auth.hashers import Argon2PasswordHasher


class CheapArgon2PasswordHasher(Argon2PasswordHasher):
    """Argon2 at its lowest cost, so that tests which sign in are quick."""

    time_cost = 1
    memory_cost = 64
    parallelism = 1
