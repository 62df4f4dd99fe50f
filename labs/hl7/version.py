"""The version stored with everything this parser reads. Raise it when a reading changes."""

PARSER_VERSION = "hl7-2"
