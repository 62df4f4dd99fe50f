"""A system of tiny processes in place of the application: `tiny_system CHECKOUT`.

The runner itself is the real one, with its real servers. Each program behaves like the real one
as far as the runner can see: it opens its port, answers, and ends on SIGTERM. TINY_STEP_FAILS
and TINY_MLLP_FAILS make one of them fail.
"""

import sys
from pathlib import Path

from runner.errors import RunnerError
from runner.plan import Plan, Ports, Step
from runner.supervisor import Program
from runner.up import System

WEB = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *args): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
MLLP = """
import os, socket, sys
if "TINY_MLLP_FAILS" in os.environ:
    sys.exit("the port is on holiday")
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    server.accept()[0].close()
"""
WORKER = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
print("Traceback (most recent call last):", flush=True)
print("a quiet line", flush=True)
time.sleep(600)
"""
STEP = """
import os, pathlib, sys
path = pathlib.Path(sys.argv[1])
path.write_text(str(int(path.read_text() if path.exists() else 0) + 1))
print("sign in as nobody in particular")
print("only for the log", file=sys.stderr)
sys.exit("TINY_STEP_FAILS" in os.environ)
"""


def tiny(ports: Ports, var: Path) -> Plan:
    python = (sys.executable, "-S", "-c")
    return Plan(
        steps=(Step("prepare", (*python, STEP, str(var / "count")), ("*.in",), keep_output=True),),
        programs=(
            Program("web", (*python, WEB, str(ports.web)), port=ports.web),
            Program("worker", (*python, WORKER), grace_seconds=2.0),
            Program("mllp", (*python, MLLP, str(ports.mllp)), port=ports.mllp),
        ),
    )


if __name__ == "__main__":
    try:
        sys.exit(System(checkout=Path(sys.argv[1]), make_plan=tiny).run())
    except RunnerError as error:
        sys.exit(str(error))
