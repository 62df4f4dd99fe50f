"""Article files for tests."""

BODY = """## When should I call? {#call}
Call today if you feel ill. Do not wait for a message here.

## What is it? {#what}
It is a short test text. You can read it fast. It is about sodium in the blood.

## What is the outlook? {#outlook}
This part speaks of the quiet future.
"""

FRONT = {
    "topic": "brain-mets",
    "title": "Cancer in the brain",
    "slug": "brain-mets",
    "summary": '"A short text for tests."',
    "section": "By site",
    "language": "en",
    "audience": "mbc",
    "sites": "[brain]",
    "subtypes": "[]",
    "treatments": "[]",
    "analytes": '[{analyte: sodium, loinc: ["2951-2"], states: any, rule: site, rank: 1, '
    "anchor: what}]",
    "symptoms": "[{symptom: headache, anchor: call}]",
    "red_flags": "[]",
    "related": "[]",
    "sensitivity": "{outlook: prognosis}",
    "emergency_box": "true",
    "sources": "[{title: A book, publisher: A house, year: 2024, url: null}]",
    "reviewed_by": '""',
    "reviewed_on": "null",
    "next_review": "2027-11-22",
    "version": "1",
}


def article(body: str = BODY, **front: str) -> str:
    """Return an article file; `front` replaces front matter, values as YAML text."""
    lines = "\n".join(f"{key}: {value}" for key, value in (FRONT | front).items())
    return f"---\n{lines}\n---\n{body}"


def plain(topic: str, section: str, **front: str) -> str:
    """Return an article that nothing but its own topic sets apart."""
    return article(
        **{
            "topic": topic,
            "slug": topic,
            "title": f"About {topic}",
            "section": section,
            "sites": "[]",
            "analytes": "[]",
            "symptoms": "[]",
        }
        | front
    )
