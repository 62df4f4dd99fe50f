#!/bin/sh
# Find a Python that can make a virtual environment and let it do the rest (bootstrap.py).
# Arguments: the requirement files to install. Prints nothing when all is in place.
set -eu
cd "$(dirname "$0")/.."

works='import sys; sys.exit(sys.version_info < (3, 11))'
can_make_venv='import ensurepip, venv'
without_venv=''

for python in .venv/bin/python python3.13 python3.12 python3.11 python3; do
    # A shim on the PATH may exist and only print an error: what counts is that it runs.
    "$python" -c "$works" >/dev/null 2>&1 || continue
    if [ "$python" = .venv/bin/python ] || "$python" -c "$can_make_venv" >/dev/null 2>&1; then
        exec "$python" -I runner/bootstrap.py "$@"
    fi
    without_venv=${without_venv:-$python}
done

if [ -n "$without_venv" ]; then
    echo "$without_venv is here, but without its venv module. On Debian or Ubuntu:" >&2
    echo "    apt install $without_venv-venv" >&2
else
    echo "Linden needs Python 3.11, 3.12 or 3.13, and none was found. On Debian or Ubuntu:" >&2
    echo "    apt install python3 python3-venv" >&2
fi
exit 1
