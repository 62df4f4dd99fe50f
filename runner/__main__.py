"""Command line: `python -m runner run | test | exec | erase | prepare-database`."""

import argparse
import os
import sys
from collections.abc import Sequence

from runner.database import bootstrap, database_of
from runner.errors import RunnerError
from runner.state import var_folder
from runner.throwaway import TEST_SETTINGS, pytest_command, run_command
from runner.up import System, erase, run_beside


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="runner", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run the whole system until Ctrl-C")
    run.add_argument("--verbose", action="store_true", help="show all output, not only errors")
    commands.add_parser("erase", help="delete the data of this checkout")
    commands.add_parser(
        "prepare-database",
        help="make the two roles and the database on the server of DATABASE_ADMIN_URL",
    )
    for name, words in (
        ("test", "run pytest with servers that are thrown away"),
        ("exec", "run any command with servers that are thrown away"),
    ):
        command = commands.add_parser(name, help=words)
        command.add_argument(
            "--durable", action="store_true", help="commit to disk as production does"
        )
        if name == "exec":
            command.add_argument(
                "--running", action="store_true", help="use the system that runs from here"
            )
        command.add_argument("arguments", nargs=argparse.REMAINDER)
    return parser


def _prepare_database() -> int:
    """Make roles and database of a deployment, from its environment; safe to repeat."""
    needed = ("DATABASE_ADMIN_URL", "LINDEN_OWNER_PASSWORD", "LINDEN_APP_PASSWORD")
    missing = [name for name in needed if not os.environ.get(name)]
    if missing:
        raise RunnerError(f"Missing in the environment: {', '.join(missing)}")
    admin_url = os.environ["DATABASE_ADMIN_URL"]
    bootstrap(
        admin_url,
        database=database_of(admin_url),
        owner_password=os.environ["LINDEN_OWNER_PASSWORD"],
        app_password=os.environ["LINDEN_APP_PASSWORD"],
    )
    return 0


def main(arguments: Sequence[str]) -> int:
    """Carry out one command and return its exit code."""
    options = _parser().parse_args(arguments)
    if options.command == "run":
        return System(verbose=options.verbose).run()
    if options.command == "erase":
        erase(var_folder())
        return 0
    if options.command == "prepare-database":
        return _prepare_database()
    rest = options.arguments[1:] if options.arguments[:1] == ["--"] else options.arguments
    if options.command == "test":
        return run_command(pytest_command(rest), durable=options.durable)
    if not rest:
        raise RunnerError("Say what to run: python -m runner exec -- COMMAND")
    if options.running:
        return run_beside(rest)
    settings = os.environ.get("DJANGO_SETTINGS_MODULE", TEST_SETTINGS)
    return run_command(rest, durable=options.durable, settings=settings)


if __name__ == "__main__":
    try:
        code = main(sys.argv[1:])
    except RunnerError as error:
        print(error, file=sys.stderr)
        code = 1
    sys.exit(code)
