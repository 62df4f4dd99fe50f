"""The rows of the table: which requests each is made of, its plain-SQL bound and its bar."""

from datetime import timedelta
from itertools import islice
from urllib.parse import quote, urlencode

from bench.desk import Desk, hold_request
from bench.loader.people import Person
from bench.loader.results import HEAVY_REPORTS
from bench.loader.world import World
from bench.measure import Row
from bench.traffic import http_request

READERS = 50
MONTH_DAYS = 31
ME = "/api/v1/patients/me"


def _bound(name: str, **parameters: object) -> str:
    return http_request("GET", f"/{name}?{urlencode(parameters, quote_via=quote)}")


def _get(path: str, person: Person) -> str:
    return http_request("GET", f"{ME}/{path}", token=person.token)


def lab_rows(world: World) -> list[Row]:
    """Return the rows of laboratory results; fifty patients take turns, the heavy one first."""
    readers = world.people[:READERS]
    analyte = world.results.trend_analyte

    def page(limit: int, path: str, title: str, key: str, bar_y: float | None) -> Row:
        return Row(
            key=key,
            title=title,
            requests=[_get(path, person) for person in readers],
            bound=[_bound("results", patient=p.patient_id, limit=limit) for p in readers],
            bar_statements=6,
            bar_y=bar_y,
        )

    report_of = world.results.reports
    return [
        # The bar is for the page that an app gets when it asks for none in particular.
        page(20, "results", "latest results, default page (20)", "results-20", bar_y=8),
        page(50, "results?limit=50", "latest results, 50 asked for", "results-50", bar_y=None),
        Row(
            key="report",
            title="one report with 20 results",
            requests=[_get(f"reports/{report_of[p.patient_id]}", p) for p in readers],
            bound=[
                _bound("report", patient=p.patient_id, report=report_of[p.patient_id])
                for p in readers
            ],
            bar_statements=7,
            bar_y=10,
        ),
        Row(
            key="trend",
            title="one trend",
            requests=[_get(f"analytes/{analyte}/trend", p) for p in readers],
            bound=[_bound("trend", patient=p.patient_id, analyte=analyte) for p in readers],
        ),
        Row(
            key="trend-five-years",
            title=f"five years of one patient's trend, {HEAVY_REPORTS} results",
            requests=[_get(f"analytes/{analyte}/trend?years=5", readers[0])],
            bound=[_bound("trend", patient=readers[0].patient_id, analyte=analyte)],
        ),
    ]


def search_rows(world: World) -> list[Row]:
    """Return the rows of searches: the next 20 openings anywhere, and a month of one."""
    supply = world.schedules
    first = supply.days[0]
    last = first + timedelta(days=MONTH_DAYS - 1)
    readers = world.people[:READERS]
    asked = [(supply.schedule_ids[n % len(supply.schedule_ids)], p) for n, p in enumerate(readers)]
    return [
        Row(
            key="next-20",
            title=f"next 20 openings over {len(supply.schedule_ids)} practitioners",
            requests=[
                _get(f"openings?visit_type={supply.visit_type_id}&limit=20", person)
                for person in readers
            ],
            bound=[_bound("next-openings", visit_type=supply.visit_type_id, limit=20)],
        ),
        Row(
            key="month",
            title="month view of one practitioner",
            requests=[
                _get(
                    f"opening-days?visit_type={supply.visit_type_id}&schedule={schedule}"
                    f"&from={first}&to={last}",
                    person,
                )
                for schedule, person in asked
            ],
            bound=[
                _bound(
                    "month", visit_type=supply.visit_type_id, schedule=schedule,
                    first=first, last=last,
                )
                for schedule, _ in asked
            ],
            bar_statements=7,
            bar_y=12,
        ),
    ]  # fmt: skip


def visit_rows(world: World, desk: Desk) -> list[Row]:
    """Return the rows of visits: one day of one practitioner, holding and booking."""
    supply = world.schedules
    asked = [
        (schedule, supply.days[number % len(supply.days)])
        for number, schedule in enumerate(supply.schedule_ids)
    ]
    readers = world.people
    return [
        Row(
            key="openings",
            title="openings of one practitioner, one day",
            requests=[
                _get(
                    f"openings?visit_type={supply.visit_type_id}&schedule={schedule}"
                    f"&from={day}&to={day}",
                    readers[number % len(readers)],
                )
                for number, (schedule, day) in enumerate(asked)
            ],
            bound=[
                _bound("openings", visit_type=supply.visit_type_id, schedule=schedule, day=day)
                for schedule, day in asked
            ],
            bar_statements=6,
            bar_y=8,
        ),
        Row(
            key="hold",
            title="keeping an opening, spread over practitioners",
            fresh=desk.requests(desk.spread(), hold_request),
            bound=lambda count: list(islice(desk.claims(desk.spread(), "hold"), count)),
            status=201,
        ),
        Row(
            key="booking",
            title="booking, spread over practitioners",
            fresh=desk.requests(desk.spread()),
            bound=lambda count: list(islice(desk.claims(desk.spread()), count)),
            status=201,
            bar_statements=16,
            bar_y=20,
        ),
    ]


def all_rows(world: World, desk: Desk) -> list[Row]:
    return [*lab_rows(world), *search_rows(world), *visit_rows(world, desk)]
