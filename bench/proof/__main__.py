"""`make proof`: prove the promises at full size, part by part, and write docs/proof.json.

A stopped run goes on where it was: parts that passed on exactly this source are kept.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.proof.catalog import PARTS
from bench.proof.frame import Proof, holds, report
from bench.proof.tree import CHECKOUT
from runner.state import var_folder

REPORT = CHECKOUT / "docs" / "proof.json"


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    names = [part.name for part in PARTS]
    parser = argparse.ArgumentParser(prog="bench.proof", description=__doc__)
    parser.add_argument(
        "--part", action="append", default=[], choices=names, help="only this one; may be repeated"
    )
    parser.add_argument("--quick", action="store_true", help="small counts; writes no report")
    parser.add_argument("--fresh", action="store_true", help="forget what earlier runs found")
    parser.add_argument("--list", action="store_true", help="name the parts and stop")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Run the proof and return 0 when every part that was asked for passed."""
    options = _options(arguments)
    if options.list:
        for part in PARTS:
            print(f"{part.name:<12} {part.title}")
        return 0
    if sys.platform != "linux":
        print("The proof kills processes and reads /proc: it needs Linux.", file=sys.stderr)
        return 2
    state = var_folder() / "proof"
    proof = Proof(PARTS, Path(state), quick=options.quick, fresh=options.fresh, say=_say)
    entries = proof.run(options.part)
    if not options.quick:
        REPORT.write_text(report(entries, quick=False))
        _say(f"wrote {REPORT.relative_to(CHECKOUT)}")
    asked = [entry for entry in entries if not options.part or entry["name"] in options.part]
    return 0 if holds(asked) else 1


def _say(words: str) -> None:
    print(words, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
