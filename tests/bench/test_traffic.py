"""The load generator against a tiny server."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bench.traffic import LoadFailed, fetch, http_request, send


class Answers(BaseHTTPRequestHandler):
    """`/ok`, `/chunks`, `/empty`, `/no` (409), `/gone` (closes without an answer), POST = echo."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path
        if path == "/gone":
            self.close_connection = True
        elif path == "/chunks":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b'8\r\n{"a": [1\r\n4\r\n,2]}\r\n0\r\n\r\n')
        elif path == "/empty":
            self.send_response(204)
            self.end_headers()
        else:
            self._send(409 if path == "/no" else 200, b'{"code": "slot-taken"}')

    def do_POST(self) -> None:
        self._send(201, self.rfile.read(int(self.headers["Content-Length"])))

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""


@pytest.fixture
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def test_each_request_is_sent_once_without_a_time_limit(port: int) -> None:
    bodies = [{"n": number} for number in range(20)]
    requests = [http_request("POST", "/echo", body=body) for body in bodies]
    seen = send(port=port, clients=4, requests=requests, keep_bodies=True)
    assert sorted(json.loads(body)["n"] for body in seen.bodies) == list(range(20))
    assert seen.all_have(201)
    assert len(seen.latencies_us) == 20
    assert min(seen.latencies_us) > 0


def test_requests_repeat_until_the_time_is_over(port: int) -> None:
    seen = send(port=port, clients=2, requests=[http_request("GET", "/ok")], seconds=0.3)
    assert seen.answers > 2
    assert 0.3 <= seen.elapsed_s < 3
    assert seen.per_second == pytest.approx(seen.answers / seen.elapsed_s)


def test_refusals_are_counted_by_their_code(port: int) -> None:
    requests = [http_request("GET", path) for path in ("/no", "/ok", "/no")]
    seen = send(port=port, clients=1, requests=requests)
    assert seen.statuses == {409: 2, 200: 1}
    assert seen.problems == {"409 slot-taken": 2}
    assert not seen.all_have(200)
    assert seen.server_errors == 0


def test_an_answer_that_never_comes_is_an_error(port: int) -> None:
    seen = send(port=port, clients=1, requests=[http_request("GET", "/gone")])
    assert (seen.broken, seen.answers, seen.server_errors) == (1, 0, 1)
    assert not seen.all_have(200)


def test_chunked_and_empty_answers_are_read_to_their_end(port: int) -> None:
    requests = [http_request("GET", path) for path in ("/chunks", "/empty", "/ok")]
    seen = send(port=port, clients=1, requests=requests, keep_bodies=True)
    assert seen.bodies == ['{"a": [1,2]}', "", '{"code": "slot-taken"}']


def test_a_barrier_opens_every_connection_before_the_first_byte(port: int) -> None:
    seen = send(port=port, clients=20, requests=[http_request("GET", "/ok")] * 20, barrier=True)
    assert seen.statuses == {200: 20}


def test_fetch_returns_the_answer_and_refuses_an_error(port: int) -> None:
    assert fetch(port=port, request=http_request("GET", "/chunks")) == {"a": [1, 2]}
    with pytest.raises(LoadFailed, match="409"):
        fetch(port=port, request=http_request("GET", "/no"))


def test_a_server_that_is_not_there_fails_loudly() -> None:
    with pytest.raises(LoadFailed):
        send(port=1, clients=1, requests=[http_request("GET", "/ok")])
