"""Health checks for containers that have no curl: `python -m portal.healthcheck …`."""

import argparse
import socket
import sys
import time
import urllib.request
from pathlib import Path


def main(arguments: list[str]) -> int:
    """Return 0 when the thing asked about is well, 1 when it is not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", nargs="?", help="an http address that must answer 200")
    parser.add_argument("--connect", nargs=2, metavar=("HOST", "PORT"), help="a port that listens")
    parser.add_argument(
        "--fresh-file", nargs=2, metavar=("PATH", "SECONDS"), help="a file changed of late"
    )
    options = parser.parse_args(arguments)
    try:
        if options.connect:
            host, port = options.connect
            socket.create_connection((host, int(port)), timeout=3).close()
            return 0
        if options.fresh_file:
            path, seconds = options.fresh_file
            return int(time.time() - Path(path).stat().st_mtime > float(seconds))
        if not options.url or not options.url.startswith("http://127.0.0.1"):
            parser.error("name a loopback address")
        with urllib.request.urlopen(options.url, timeout=3) as answer:  # noqa: S310
            return int(answer.status != 200)
    except OSError:
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
