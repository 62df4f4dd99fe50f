"""Settings of the image build: enough to collect static files, nothing that could serve."""

import os

for _name, _value in {
    "DJANGO_SECRET_KEY": "only-to-collect-static-files",
    "LINDEN_FIELD_KEYS": "",
    "LINDEN_HMAC_KEY": "",
    "DATABASE_URL": "postgresql://nobody@127.0.0.1/none",
    "REDIS_URL": "redis://127.0.0.1/0",
}.items():
    os.environ.setdefault(_name, _value)

from portal.settings.base import *  # noqa: E402, F403
