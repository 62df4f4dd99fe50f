"""A strict line-level check of iCalendar text, written from RFC 5545 alone."""

import re

_NAME = re.compile(rb"^[A-Z0-9-]+$")
_ONCE = (b"UID", b"DTSTAMP", b"DTSTART", b"DTEND", b"SEQUENCE", b"STATUS", b"SUMMARY", b"ORGANIZER")


def lines_of(content: bytes) -> list[tuple[bytes, bytes, bytes]]:
    """Return (name, parameters, value) of each content line; assert what section 3.1 asks."""
    assert content.endswith(b"\r\n")
    assert b"\n" not in content.replace(b"\r\n", b"")
    assert b"\r" not in content.replace(b"\r\n", b"")
    physical = content.split(b"\r\n")[:-1]
    assert all(0 < len(line) <= 75 for line in physical)
    for line in physical:
        # A fold never breaks a character in two.
        line.decode()
        assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", line)
    logical = content.replace(b"\r\n ", b"").split(b"\r\n")[:-1]
    found = []
    for line in logical:
        # No parameter value here is quoted, so the first colon ends the parameters.
        head, colon, value = line.partition(b":")
        assert colon
        name, _, parameters = head.partition(b";")
        assert _NAME.match(name)
        found.append((name, parameters, value))
    return found


def check(content: bytes) -> list[dict[bytes, tuple[bytes, bytes]]]:
    """Assert that components nest and have what they must; return the properties of each event."""
    lines = lines_of(content)
    assert lines[0][::2] == (b"BEGIN", b"VCALENDAR")
    assert lines[-1][::2] == (b"END", b"VCALENDAR")
    open_now: list[bytes] = []
    events: list[dict[bytes, tuple[bytes, bytes]]] = []
    zones: list[bytes] = []
    names: list[bytes] = []
    for name, parameters, value in lines:
        if name == b"BEGIN":
            open_now.append(value)
            if value == b"VEVENT":
                events.append({})
        elif name == b"END":
            assert open_now.pop() == value
        elif open_now == [b"VCALENDAR"]:
            names.append(name)
        elif open_now[-1] == b"VEVENT":
            assert name not in events[-1]
            events[-1][name] = (parameters, value)
        elif name == b"TZID":
            zones.append(value)
    assert open_now == []
    for name in (b"PRODID", b"VERSION", b"METHOD"):
        assert names.count(name) == 1
    assert len(zones) == len(set(zones))
    for event in events:
        assert all(name in event for name in _ONCE)
        assert re.fullmatch(rb"\d{8}T\d{6}Z", event[b"DTSTAMP"][1])
        for name in (b"DTSTART", b"DTEND"):
            parameters, value = event[name]
            if parameters:
                assert parameters.removeprefix(b"TZID=") in zones
                assert re.fullmatch(rb"\d{8}T\d{6}", value)
            else:
                assert re.fullmatch(rb"\d{8}T\d{6}Z", value)
        for text in (b"SUMMARY", b"LOCATION", b"DESCRIPTION"):
            value = event.get(text, (b"", b""))[1]
            assert not re.search(rb"(?<!\\)(?:\\\\)*[,;]", value)
            assert not re.search(rb"(?<!\\)(?:\\\\)*\\[^\\,;nN]", value)
    return events
