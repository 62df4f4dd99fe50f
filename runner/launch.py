"""Become another program that dies with the runner. Started as a script by `processes.spawn`.

Arguments: the signal to receive when the runner dies, the runner's pid, uid and gid to drop to
(or - for neither), then the program and its arguments. It is a step of its own, because Python
code between fork and exec is unsafe as soon as the parent has threads.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
NOT_STARTED = 127


def main(arguments: list[str]) -> None:
    death_signal, parent, uid, gid, *argv = arguments
    if uid != "-":
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
        os.umask(0o077)
    if sys.platform == "linux":
        # After dropping rights: the kernel forgets the request when they change.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != int(parent):  # it died before the request was in place
            sys.exit(NOT_STARTED)
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - no shell is the point
    except OSError as error:
        print(f"{argv[0]} cannot be started: {error.strerror}", file=sys.stderr)
        sys.exit(NOT_STARTED)


if __name__ == "__main__":
    main(sys.argv[1:])
