import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.hl7.message import DELETE, Delimiters, MessageError, parse, split_messages

MSH = "MSH|^~\\&|LIS|LAB|PORTAL|CC|20260105||ORU^R01|M1|P|2.5.1"


def message(*lines: str, head: str = MSH, end: str = "\r") -> bytes:
    return end.join([head, *lines, ""]).encode()


def field(text: str, number: int = 5) -> str:
    return parse(message(f"OBX|1|TX|A||{text}")).segments[1].text(number)


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_line_ends_of_any_kind_give_the_same_segments(end: str) -> None:
    found = parse(message("PID|1||7^^^L", "OBX|1|NM|A||5", end=end))
    assert [segment.name for segment in found.segments] == ["MSH", "PID", "OBX"]


def test_framing_bytes_and_byte_order_mark_are_taken_off() -> None:
    found = parse(b"\x0b\xef\xbb\xbf" + message("PID|1||7") + b"\x1c\r")
    assert found.header.field(10) == "M1"
    assert found.segments[1].field(3) == "7"


def test_msh_fields_count_from_the_field_separator() -> None:
    head = parse(message()).header
    assert (head.field(1), head.field(2), head.field(3)) == ("|", "^~\\&", "LIS")
    assert head.repetitions(2) == ["^~\\&"]
    assert head.component(9, 2) == "R01"


def test_positions_beyond_what_was_sent_read_as_empty() -> None:
    segment = parse(message("PID|1||7^^^A&1.2&ISO^MR~8")).segments[1]
    assert segment.component(3, 4, 1) == "A"
    assert segment.component(3, 4, 2) == "1.2"
    assert segment.component(3, 1, rep=2) == "8"
    assert segment.component(3, 1, rep=3) == ""
    assert segment.component(3, 9) == segment.component(3, 4, 9) == segment.field(99) == ""
    assert segment.field(0) == ""
    assert segment.repetitions(2) == []


def test_two_quotes_stay_apart_from_nothing() -> None:
    segment = parse(message('OBX|1|NM|A||""|')).segments[1]
    assert segment.field(5) == DELETE
    assert segment.field(6) == ""


def test_other_delimiters_are_honoured() -> None:
    found = parse(b"MSH#*@!%#LIS#LAB#####ORU*R01#M1#P#2.5\rPID#1##7***A%1!S!2@8\r")
    assert found.header.component(9, 2) == "R01"
    assert found.segments[1].component(3, 4, 2) == "1*2"
    assert found.segments[1].component(3, 1, rep=2) == "8"
    assert found.warnings == ()


def test_five_encoding_characters_of_later_versions_are_honoured() -> None:
    found = parse(message(head=MSH.replace("^~\\&", "^~\\&#")))
    assert found.header.component(9, 2) == "R01"
    assert found.warnings == ()


@pytest.mark.parametrize("odd", ["&&&&", "^^~\\", "|^~\\", "ABCD", "^ \\&", ""])
def test_unusable_encoding_characters_give_the_standard_ones_and_a_warning(odd: str) -> None:
    found = parse(message(head=MSH.replace("^~\\&", odd, 1)))
    assert found.marks.component == "^"
    assert "encoding-characters-invalid" in found.warnings


def test_short_encoding_characters_are_completed() -> None:
    found = parse(message("OBX|1|TX|A||x\\T\\y", head=MSH.replace("^~\\&", "^~", 1)))
    assert found.warnings == ()
    assert found.segments[1].text(5) == "x&y"


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f", "a|b^c&d~e\\f"),
        ("one\\.br\\two", "one\ntwo"),
        ("one\\.sp\\two", "one\ntwo"),
        ("one\\.sp2\\two\\.sp+3\\x", "one\n\ntwo\n\n\nx"),
        ("\\.in+4\\a\\.ti-2\\b\\.fi\\c\\.nf\\d", "abcd"),
        ("a\\.sk3\\b\\.ce\\c", "a   b\nc"),
        ("\\H\\7.28\\N\\", "7.28"),
        ("\\X41\\\\X0D0A\\", "A\r\n"),
        ("\\XC2B5\\g", "\u00b5g"),
        ("\\C2842\\x\\M2442\\y\\M242842\\", "xy"),
        ("a\\P\\b", "a#b"),
    ],
)
def test_known_escapes_are_resolved(sent: str, meant: str) -> None:
    assert field(sent) == meant


@pytest.mark.parametrize(
    "sent",
    [
        "C:\\temp",
        "a\\b",
        "\\",
        "end\\",
        "\\X4\\",
        "\\XZZ\\",
        "\\Zloc\\",
        "\\.xx\\",
        "\\ F\\",
        "\\f\\",
        "\\\\",
    ],
)
def test_what_is_no_escape_is_kept_as_sent(sent: str) -> None:
    assert field(sent) == sent


def test_a_lone_backslash_before_an_escape_loses_neither() -> None:
    assert field("C:\\temp\\F\\log\\.br\\next") == "C:\\temp|log\nnext"


def test_an_escaped_escape_is_not_read_twice() -> None:
    assert field("\\E\\F\\E\\") == "\\F\\"


def test_nul_never_reaches_text() -> None:
    assert field("a\x00b\\X00\\c") == "a\ufffdb\ufffdc"


def with_charset(name: str, body: bytes) -> bytes:
    head = MSH + "|" * 6 + name
    return head.encode() + b"\rPID|1||7||" + body + b"\r"


@pytest.mark.parametrize(
    ("name", "body", "codec", "warned"),
    [
        ("", "Jürgen".encode(), "utf-8", False),
        ("", "Jürgen".encode("cp1252"), "cp1252", False),
        ("UNICODE UTF-8", "Jürgen".encode(), "utf-8", False),
        ("UNICODE UTF-8", "Jürgen".encode("cp1252"), "cp1252", True),
        ("8859/1", "Jürgen".encode("latin-1"), "iso8859-1", False),
        ("8859/1", "Jürgen".encode(), "utf-8", True),
        ("8859/15", "Jürgen".encode("iso8859-15"), "iso8859-15", False),
        ("8859/1~UNICODE UTF-8", "Jürgen".encode("latin-1"), "iso8859-1", False),
        ("ASCII", "Jürgen".encode("cp1252"), "cp1252", True),
        ("ASCII", b"Jurgen", "utf-8", False),
        ("NONSENSE", "Jürgen".encode(), "utf-8", True),
    ],
)
def test_charset_is_found(name: str, body: bytes, codec: str, warned: bool) -> None:
    found = parse(with_charset(name, body))
    assert found.marks.codec == codec
    assert found.segments[1].field(5) in {"Jürgen", "Jurgen"}
    assert ("charset-mismatch" in found.warnings) is warned


def test_declared_set_decides_what_a_byte_means() -> None:
    assert parse(with_charset("8859/15", b"\xa4")).segments[1].field(5) == "€"
    assert parse(with_charset("8859/1", b"\xa4")).segments[1].field(5) == "¤"
    assert parse(with_charset("8859/5", b"\xbf\xde")).segments[1].field(5) == "По"
    assert parse(with_charset("8859/1", b"\x80")).segments[1].field(5) == "€"
    assert parse(with_charset("BIG-5", "李".encode("big5"))).segments[1].field(5) == "李"


def test_bytes_of_no_character_set_are_still_read() -> None:
    assert parse(with_charset("", b"\x81\xff")).segments[1].field(5) == "\x81ÿ"


def test_a_line_without_segment_name_continues_the_field_before_it() -> None:
    found = parse(message("NTE|1||Das Resul", "tat ist vorlaeufig", "OBX|1|NM|A||5"))
    assert found.segments[1].field(3) == "Das Resul\ntat ist vorlaeufig"
    assert found.segments[2].name == "OBX"
    assert found.warnings == ("line-without-segment",)


def test_very_many_loose_lines_cost_no_more_than_their_length() -> None:
    found = parse(message("NTE|1||a", *["b"] * 300_000))
    assert len(found.segments[1].field(3)) == 600_001


def test_an_indented_segment_is_a_segment() -> None:
    assert [s.name for s in parse(message("  OBX|1|NM|A||5", "\tNTE|1||x")).segments] == [
        "MSH",
        "OBX",
        "NTE",
    ]


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "empty"),
        (b"\r\n \x0b\x1c", "empty"),
        (b"GET / HTTP/1.1\r\n\r\n", "msh-unreadable"),
        (b"MSH", "msh-unreadable"),
        (b"MSH|", "msh-unreadable"),
        (b"MSHA^~\\&A", "msh-unreadable"),
        (b"MSH\x1b$B|", "msh-unreadable"),
        (b"PID|1\rMSH|^~\\&|", "msh-unreadable"),
        (b"\xff\xfeM\x00S\x00H\x00", "msh-unreadable"),
    ],
)
def test_unreadable_bytes_have_a_code_and_no_content(raw: bytes, code: str) -> None:
    with pytest.raises(MessageError) as caught:
        parse(raw)
    assert caught.value.code == str(caught.value) == code


def test_batch_is_split_and_its_envelope_dropped() -> None:
    one, two = message("PID|1||1"), message("PID|1||2").replace(b"M1", b"M2")
    batch = b"FHS|^~\\&|X\rBHS|^~\\&|X\r" + one + b"\r\r" + two + b"BTS|2\rFTS|1\r"
    assert split_messages(batch) == [one, two]
    assert split_messages(batch.replace(b"\r", b"\r\n")) == [one, two]


def test_framed_stream_is_split() -> None:
    one = message("PID|1||1")
    assert split_messages(b"\x0b" + one + b"\x1c\r\x0b" + one + b"\x1c\r") == [one, one]


def test_the_letters_msh_inside_a_field_start_nothing() -> None:
    one = message("NTE|1||see MSH|^~\\& below", "NTE|2||MSH")
    assert split_messages(one) == [one]


def test_bytes_without_msh_come_back_whole() -> None:
    assert split_messages(b"hello\r\nworld") == [b"hello\r\nworld"]
    assert split_messages(b"\r\n\r\n") == []


MARKS = st.text(st.sampled_from("|^~\\&#*@!%;:+$"), min_size=5, max_size=5).filter(
    lambda marks: len(set(marks)) == 5
)


@given(MARKS, st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")))
def test_escaped_text_comes_back(marks: str, text: str) -> None:
    found = Delimiters(*marks)
    assert found.unescape(found.escape_text(text)) == text
    assert not set(found.escape_text(text)) & {found.field, found.component, "\r", "\n"}


PARTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], max_codepoint=0x2FFF), min_size=1, max_size=8
)
TREE = st.lists(
    st.lists(st.lists(st.lists(PARTS, min_size=1, max_size=3), min_size=1, max_size=3), max_size=3),
    min_size=1,
    max_size=5,
)


@given(MARKS, TREE)
def test_written_trees_are_read_back(marks: str, tree: list[list[list[list[str]]]]) -> None:
    d = Delimiters(*marks)
    fields = [
        d.repetition.join(
            d.component.join(d.subcomponent.join(map(d.escape_text, subs)) for subs in components)
            for components in repetitions
        )
        for repetitions in tree
    ]
    head = f"MSH{d.field}{d.component}{d.repetition}{d.escape}{d.subcomponent}{d.field}A"
    raw = f"{head}\rZZZ{d.field}{d.field.join(fields)}\r".encode()
    (one,) = split_messages(raw)
    segment = parse(one).segments[1]
    for f, repetitions in enumerate(tree, start=1):
        assert len(segment.repetitions(f)) == len(repetitions)
        for r, components in enumerate(repetitions, start=1):
            for c, subs in enumerate(components, start=1):
                for s, text in enumerate(subs, start=1):
                    assert segment.component(f, c, s, rep=r) == text


def codes_of(raw: bytes) -> set[str]:
    """Read every part of every message in `raw`; return the codes of what could not be read."""
    codes = set()
    for piece in split_messages(raw):
        try:
            found = parse(piece)
        except MessageError as error:
            codes.add(error.code)
            continue
        for segment in found.segments:
            for number in range(len(segment) + 2):
                assert "\x00" not in segment.text(number)
                segment.component(number, 2, 2, rep=2)
    return codes


@given(st.binary(max_size=300))
def test_no_bytes_crash_the_splitter(junk: bytes) -> None:
    assert codes_of(junk) <= {"msh-unreadable"}
    assert codes_of(b"MSH|^~\\&" + junk) == set()
    assert codes_of(message() + junk) <= {"msh-unreadable"}
