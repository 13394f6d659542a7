"""The HTTP control: what it shows, what it answers, and whom it refuses."""

from __future__ import annotations

import pytest

from tests.feed.simulator.peer import KEY, control_of, logged_in, running


async def test_state_shows_everything_and_no_key() -> None:
    """Connections, labelled tickers, counters and configuration; the key appears nowhere."""
    async with (
        running(control_port=0, tickers=40, rate=500) as simulator,
        control_of(simulator) as control,
        logged_in(simulator, "T.AAPL,AM.*"),
    ):
        answer = await control.get("/state")
        assert answer.status_code == 200
        assert KEY not in answer.text
        state = answer.json()
    assert "real daily bars, modelled intraday path" in state["label"]
    (connection,) = state["connections"]
    assert (connection["id"], connection["topics"], connection["key"]) == (1, 2, "si***")
    kinds = {ticker["symbol"]: ticker["kind"] for ticker in state["tickers"]}
    assert len(kinds) == 40
    assert [symbol for symbol, kind in kinds.items() if kind == "real"] == ["AAPL", "MSFT", "IBM", "GOOG", "FB"]
    labels = {ticker["label"] for ticker in state["tickers"] if ticker["kind"] == "real"}
    assert labels == {"real daily bars, modelled intraday path"}
    assert state["market"]["rate"] == 500
    assert state["counters"]["opened"] == 1
    assert state["config"]["keys"] == ["si***"]
    assert state["tickers"][0]["day"] == "2000-03-01"


async def test_a_body_that_cannot_be_read_is_refused_in_words() -> None:
    """No JSON, no UTF-8, and brackets without end: each is a bad request, and the simulator goes on."""
    async with running(control_port=0) as simulator, control_of(simulator) as control, logged_in(simulator) as peer:
        for body in (b"{", b"\xff\xfe", b"[" * 4_000):
            assert (await control.post("/faults/burst", content=body)).status_code == 400
        await peer.socket.send(b'{"action":"subscribe","params":"T.AAPL","more":' + b"[" * 4_000)
        assert (await control.post("/faults/burst")).status_code == 200


async def test_a_press_is_answered_with_what_was_done() -> None:
    """With or without a body; the connection it names is the one that dies."""
    async with running(control_port=0) as simulator, control_of(simulator) as control, logged_in(simulator) as peer:
        answer = await control.post("/faults/burst")
        assert answer.json()["until_s"] == pytest.approx(answer.json()["at_s"] + 5.0)
        answer = await control.post("/faults/close", json={"connection": 1, "code": 1011})
        assert answer.json() | {"at_s": 0} == {
            "fault": "close", "connections": [1], "done": "closed with code 1011", "at_s": 0, "until_s": None,
        }  # fmt: skip
        assert (await peer.closed())[0] == 1011
        presses = (await control.get("/state")).json()["presses"]
        assert [press["fault"] for press in presses] == ["burst", "close"]


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/faults/dorp", b"", 404, "unknown_fault"),
        ("/faults/drop", b"", 404, "unknown_connection"),
        ("/faults/burst", b"{", 400, "bad_request"),
        ("/faults/burst", b"[]", 400, "bad_request"),
        ("/faults/burst", b"\xff", 400, "bad_request"),
        ("/faults/burst", b'{"factor":"much"}', 400, "bad_request"),
        ("/faults/burst", b" " * 20_000, 400, "bad_request"),
        ("/nothing", b"", 404, "no_such_route"),
        ("/state", b"", 405, "no_such_route"),
    ],
)
async def test_errors_are_problem_documents(path: str, body: bytes, status: int, code: str) -> None:
    """Every refusal says what happened, what to do and what will not be done (RFC 9457)."""
    async with running(control_port=0) as simulator, control_of(simulator) as control:
        answer = await control.post(path, content=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["code"], problem["status"]) == (code, status)
    assert all(problem[part] for part in ("title", "message", "required_action", "will_not"))


async def test_web_pages_cannot_press() -> None:
    """A request with an Origin is refused, no CORS header is sent, and a foreign Host name is refused too."""
    async with running(control_port=0) as simulator, control_of(simulator) as control:
        answer = await control.post("/faults/burst", headers={"origin": "http://127.0.0.1:8000"})
        assert (answer.status_code, answer.json()["code"]) == (403, "origin_refused")
        state = await control.get("/state", headers={"origin": "http://evil.example"})
        assert "access-control-allow-origin" not in state.headers
        assert (await control.get("/state", headers={"host": "evil.example"})).status_code == 400
        assert simulator.state().presses == []
