"""The parts of the proof, in the order in which they run."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One part. `module` below `bench.proof.parts` has `prove(run)`.

    `promises` are ids of docs/promises.tsv. `seed` decides everything that is drawn. A part
    with `servers` gets an empty database and a broker of its own; the others start what they
    need themselves.
    """

    name: str
    title: str
    promises: tuple[str, ...]
    seed: int
    servers: bool = True

    @property
    def module(self) -> str:
        return f"bench.proof.parts.{self.name}"


PARTS = (
    Part("race", "200 clients want one opening", ("BOOK-1",), seed=7),
    Part("history", "a random history of visits, then kills", ("BOOK-1", "BOOK-2"), seed=7),
    Part("repeats", "repeated and stale requests", ("BOOK-3", "BOOK-4"), seed=7),
    Part("samples", "every sample message through the listener", ("HL7-2",), seed=7),
    Part("judging", "no result in range without a range", ("HL7-7",), seed=7, servers=False),
    Part("fuzz", "mutated messages and framing attacks", ("HL7-1", "HL7-2"), seed=7),
    Part("acknowledged", "doors killed between receipt and answer", ("HL7-5",), seed=7),
    Part("poison", "one message that cannot be filed", ("HL7-6",), seed=7),
    Part("reminders", "reminders while workers are killed", ("JOB-1", "JOB-3"), seed=7),
    Part("clock", "the clock is set while everything runs", ("TIME-3",), seed=7),
    Part("mutants", "planted bugs that a test must catch", (), seed=7, servers=False),
    Part("journey", "the main story from outside", (), seed=7, servers=False),
)


def part_named(name: str) -> Part:
    """Return the part called `name`. Raises: KeyError."""
    return {part.name: part for part in PARTS}[name]
