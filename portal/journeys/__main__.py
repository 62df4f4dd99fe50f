"""`python -m portal.journeys [FILE…]`: the main story, or your own message files."""

import argparse
import sys
from pathlib import Path

from portal.journeys.files import send_files
from portal.journeys.outside import WrongAnswer, find_system
from portal.journeys.story import Story


def main(arguments: list[str]) -> int:
    """Return 0 when everything was right, 1 at the first wrong thing."""
    parser = argparse.ArgumentParser(prog="journey", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="HL7 v2 message files to send")
    options = parser.parse_args(arguments)
    try:
        system = find_system()
        if options.files:
            send_files(system, options.files, say=print)
        else:
            Story(system, say=print).run()
    except WrongAnswer as error:
        print(f"WRONG: {error}", file=sys.stderr)
        return 1
    print("The journey passed.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
