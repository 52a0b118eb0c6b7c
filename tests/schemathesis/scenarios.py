"""Scenarios for Schemathesis: the state that a request needs in order to succeed.

Generated data alone never finds a pending offer or the PIN of a trip. So the first valid requests of each operation get the ids and the
body of a scenario that has just run; all others are sent as generated. Every response is counted.

SCENARIO_ROLE and SCENARIO_TOKENS select the tested role; SCENARIO_PROVIDER is the simulator's address and key; SCENARIO_TALLY is the file
to which the counts are appended.
"""

import atexit
import hashlib
import hmac
import http.server
import json
import os
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import requests
import schemathesis

BASE_URL = os.environ["SCENARIO_BASE_URL"]
ROLE = os.environ["SCENARIO_ROLE"]
TOKENS: dict[str, str] = json.loads(os.environ["SCENARIO_TOKENS"])
PROVIDER, PROVIDER_KEY = os.environ["SCENARIO_PROVIDER"].split(" ")
WEBHOOK_SECRET = os.environ["SCENARIO_WEBHOOK_SECRET"]

SCENARIOS_PER_OPERATION = 2
TIMEOUT_S = 20

# A random place per run, so that no other driver is nearer.
LAT, LON = random.uniform(-60, 60), random.uniform(-170, 170)
PICKUP = {"lat": LAT, "lon": LON}
DROPOFF = {"lat": LAT + 0.01, "lon": LON + 0.01}
CENTS = {"amount": 100, "currency": "USD"}
TAG = re.compile(r'\*|(W/)?"[0-9]{1,18}(-[0-9a-f]{16})?"')
NOTE = "Checked by a test."
CELL = "882a100d0bfffff"  # of H3, at resolution 8
DRIVERS_ACCOUNTS = {"driver_payable"}
PREFIXES = {"rider": "rdr", "driver": "drv", "gateway": "gwy", "ops": "ops"}

Ids = dict[str, Any]


def send(role: str, method: str, path: str, body: Any = None) -> requests.Response:
    headers = {"Idempotency-Key": str(uuid4())}
    if role in TOKENS:
        headers["Authorization"] = f"Bearer {TOKENS[role]}"
    return requests.request(method, BASE_URL + path, headers=headers, json=body, timeout=10)


def get(role: str, path: str) -> Any:
    response = send(role, "GET", path)
    assert response.ok, f"{path}: {response.text}"
    return response.json()


def post(role: str, path: str, body: Any = None) -> Any:
    response = send(role, "POST", path, {} if body is None else body)
    assert response.ok, f"{path}: {response.text}"
    return response.json()


def until(what: str, poll: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        if found := poll():
            return found
        time.sleep(0.02)
    raise TimeoutError(f"timed out after {TIMEOUT_S} s waiting until {what}")


def provider(method: str, path: str, **kwargs: Any) -> Any:
    headers = {"Stripe-Version": "2025-03-31.basil"}  # `API_VERSION` of psp-sim, which refuses others
    response = requests.request(method, PROVIDER + path, auth=(PROVIDER_KEY, ""), headers=headers, timeout=10, **kwargs)
    assert response.ok, f"{path}: {response.text}"
    return response.json()


def is_ready() -> bool:
    try:
        return requests.get(BASE_URL + "/readyz", timeout=1).json().get("matcher") is True
    except (requests.RequestException, ValueError):
        return False


# The steps of a ride.


def clean_up() -> None:
    """Ends what earlier requests left: an offer, a trip, a fast clock."""
    send("anonymous", "POST", "/v1/sandbox/clock", {"scale": 1})
    provider("DELETE", "/sim/faults")
    for role in ("rider", "driver"):
        for trip in get(role, "/v1/trips?limit=5")["items"]:
            if trip["ended_at"] is None:
                if not send("ops", "POST", f"/v1/trips/{trip['id']}/abort", {}).ok:
                    send("rider", "POST", f"/v1/trips/{trip['id']}/cancel", {})
    driver_offline = send("driver", "PUT", "/v1/drivers/me/availability", {"available": False})
    assert driver_offline.status_code in (200, 422), driver_offline.text


def locate_at_pickup() -> bool:
    now = get("anonymous", "/v1/sandbox/clock")["domain"]
    report = {"position": PICKUP, "recorded_at": now}
    response = send("driver", "PUT", "/v1/drivers/me/location", report)
    return response.ok and response.json()["verdict"] == "accepted"


def online() -> Ids:
    clean_up()
    vehicle = {"available": True, "name": "Dora", "class": "standard", "plate": "RM 1"}
    assert (response := send("driver", "PUT", "/v1/drivers/me/availability", vehicle)).ok, response.text
    until("the driver's position counts", locate_at_pickup)
    return {}


def quoted() -> Ids:
    online()
    quote = post("rider", "/v1/quotes", {"pickup": PICKUP, "dropoff": DROPOFF})
    return {"quote_id": quote["id"], "payment_method": "pm_card_visa"}


def requested() -> Ids:
    trip = post("rider", "/v1/trips", quoted())
    return {"trip_id": trip["id"], "payment_id": trip["payment_id"], "pin": trip["pin"]}


def offered() -> Ids:
    ids = requested()
    offer = until("there is an offer", lambda: get("driver", "/v1/drivers/me")["offer"])
    return ids | {"offer_id": offer["id"]}


def assigned() -> Ids:
    ids = offered()
    post("driver", f"/v1/offers/{ids['offer_id']}/accept")
    locate_at_pickup()
    return ids


def arrived() -> Ids:
    ids = assigned()
    post("driver", f"/v1/trips/{ids['trip_id']}/arrive")
    return ids


def no_show_due() -> Ids:
    ids = arrived()
    post("anonymous", "/v1/sandbox/clock", {"advance_s": 301})
    return ids


def pin_locked() -> Ids:
    ids = arrived()
    wrong = "1111" if ids["pin"] == "0000" else "0000"
    for _ in range(5):
        send("driver", "POST", f"/v1/trips/{ids['trip_id']}/start", {"pin": wrong})
    return ids


def started() -> Ids:
    ids = arrived()
    post("driver", f"/v1/trips/{ids['trip_id']}/start", {"pin": ids["pin"]})
    return ids


def completed() -> Ids:
    ids = started()
    post("driver", f"/v1/trips/{ids['trip_id']}/complete")
    paid = lambda: get("ops", f"/v1/payments/{ids['payment_id']}")["state"] == "captured"
    until("the fare is captured", paid)
    return ids


# Cases for an operator.


def needing_review() -> set[str]:
    return {one["subject"] for one in get("ops", "/v1/ops/reconciliation")["needs_review"]["items"]}


def intent_of(payment: str) -> str:
    intents = provider("GET", "/v1/payment_intents", params={"limit": 100})["data"]
    return next(intent["id"] for intent in intents if intent["metadata"].get("payment_id") == payment)


def unpaid() -> Ids:
    """The hold is lost during the ride, and a second authorization is declined."""
    ids, before = started(), needing_review()
    provider("PUT", "/sim/faults", json={"faults": [{"on": "confirm", "kind": "decline", "code": "lost_card"}]})
    provider("POST", f"/v1/payment_intents/{intent_of(ids['payment_id'])}/cancel")
    lost = lambda: get("ops", f"/v1/payments/{ids['payment_id']}")["state"] == "auth_expired"
    until("the hold is lost", lost)
    post("driver", f"/v1/trips/{ids['trip_id']}/complete")
    debt = until("the debt needs a review", lambda: needing_review() - before).pop()
    provider("DELETE", "/sim/faults")
    return {"payment_id": debt}


def refund_refused() -> Ids:
    """The whole amount was already refunded at the provider."""
    ids, before = completed(), needing_review()
    provider("POST", "/v1/refunds", data={"payment_intent": intent_of(ids["payment_id"])})
    refund = post("ops", f"/v1/payments/{ids['payment_id']}/refunds", {"amount": CENTS})
    until("the refund has failed", lambda: refund["id"] in needing_review() - before)
    return {"refund_id": refund["id"]}


def reconciled() -> Ids:
    run = post("ops", "/v1/ops/reconciliation/runs", {})
    seen = until("the run has finished", lambda: (run_of(run["id"]) or {}).get("finished_at") and run)
    return {"run_id": seen["id"]}


def run_of(run: str) -> Any:
    return get("ops", f"/v1/ops/reconciliation/runs/{run}")


def finding() -> Ids:
    """An intent at the provider for a payment that our records lack."""
    form = {"amount": 1000, "currency": "usd", "payment_method": "pm_card_visa", "capture_method": "manual"}
    form["metadata[payment_id]"] = "pay_01h455vb4pex5vsknk084sn02q"
    provider("POST", "/v1/payment_intents", data=form | {"confirm": "true"})
    reconciled()
    findings = get("ops", "/v1/ops/reconciliation/findings?state=open&limit=1")["items"]
    assert findings, "reconciliation found nothing"
    return {"finding_id": findings[0]["id"]}


def endpoint() -> Ids:
    for endpoint in get("ops", "/v1/ops/webhook_endpoints?limit=100")["items"]:
        send("ops", "DELETE", f"/v1/ops/webhook_endpoints/{endpoint['id']}")
    return {"endpoint_id": post("ops", "/v1/ops/webhook_endpoints", ENDPOINT)["id"]}


def disabled_endpoint() -> Ids:
    ids = endpoint()
    post("ops", f"/v1/ops/webhook_endpoints/{ids['endpoint_id']}/disable")
    return ids


def delivered() -> Ids:
    ids = endpoint()
    requested()
    path = f"/v1/ops/webhook_endpoints/{ids['endpoint_id']}/deliveries"
    done = lambda: [one for one in get("ops", path)["items"] if one["state"] == "delivered"]
    return ids | {"delivery_id": until("a delivery has succeeded", done)[0]["id"]}


class Receiver(http.server.BaseHTTPRequestHandler):
    """Accepts every webhook."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=receiver.serve_forever, daemon=True).start()
RECEIVER = f"http://127.0.0.1:{receiver.server_port}/"
ENDPOINT = {"url": RECEIVER, "event_types": ["trip.*"]}

def timed() -> Ids:
    return {"id": requested()["trip_id"]}


def found() -> Ids:
    return {"id": offered()["offer_id"]}


def traced() -> Ids:
    return {"trace_id": send("rider", "GET", "/v1/trips").headers["Trace-Id"]}


def override() -> dict[str, Any]:
    """An override that ends within the hour: one in an example of the document is over some day."""
    now = datetime.fromisoformat(get("", "/v1/sandbox/clock")["domain"].replace("Z", "+00:00"))
    return {"multiplier_bp": 15_000, "expires_at": (now + timedelta(hours=1)).isoformat(), "reason": NOTE}


def surging() -> Ids:
    response = send("ops", "PUT", f"/v1/ops/surge/{CELL}", override())
    assert response.ok, response.text
    return {"cell": CELL}


SCENARIOS: dict[str, Callable[[], Ids]] = {
    "request_trip": quoted,
    "get_trip": requested,
    "cancel_trip": assigned,
    "list_trip_events": requested,
    "explain_trip": requested,
    "get_receipt": requested,
    "get_trip_driver": assigned,
    "accept_offer": offered,
    "decline_offer": offered,
    "arrive_at_pickup": assigned,
    "start_trip": arrived,
    "report_no_show": no_show_due,
    "reset_pin": pin_locked,
    "complete_trip": started,
    "abort_trip": started,
    "tip_driver": completed,
    "get_payment": requested,
    "list_payment_events": requested,
    "create_refund": completed,
    "resolve_payment": unpaid,
    "resolve_refund": refund_refused,
    "get_profile": online,
    "follow_driver_events": online,
    "open_driver_stream": online,
    "get_reconciliation_run": reconciled,
    "get_finding": finding,
    "resolve_finding": finding,
    "create_webhook_endpoint": endpoint,
    "get_webhook_endpoint": endpoint,
    "delete_webhook_endpoint": endpoint,
    "disable_webhook_endpoint": endpoint,
    "enable_webhook_endpoint": disabled_endpoint,
    "rotate_webhook_secret": endpoint,
    "list_webhook_deliveries": endpoint,
    "redeliver_webhook": delivered,
    "get_request_sql": traced,
    "get_timeline": timed,
    "get_object": found,
    "get_provider_view": assigned,
    "expire_authorization": assigned,
    "set_surge": surging,
    "delete_surge": surging,
}

# Bodies of operations that require fields.
BODIES: dict[str, Callable[[Ids], Any]] = {
    "request_trip": lambda ids: ids,
    "start_trip": lambda ids: {"pin": ids["pin"]},
    "tip_driver": lambda ids: {"amount": CENTS},
    "create_refund": lambda ids: {"amount": CENTS},
    "resolve_payment": lambda ids: {"action": "retry", "note": NOTE},
    "resolve_refund": lambda ids: {"action": "retry", "note": NOTE},
    "resolve_finding": lambda ids: {"note": NOTE},
    "create_webhook_endpoint": lambda ids: ENDPOINT,
    "set_surge": lambda ids: override(),
}

# Scenarios per operation, the ids of requests with a scenario, and responses by operation and status.
played: Counter[str] = Counter()
prepared: set[str] = set()
responses: Counter[tuple[str, int]] = Counter()
broken: dict[str, str] = {}


def name_of(case: Any) -> str:
    return case.operation.definition.raw["operationId"]


def is_allowed(case: Any) -> bool:
    security = case.operation.definition.raw.get("security") or [{}]
    return any(not requirement or ROLE in requirement for requirement in security)


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    name, meta = name_of(case), case.meta
    if meta is None or not meta.generation.mode.is_positive:
        return
    if case.headers and "Idempotency-Key" in case.headers:
        # The document's example key can be used once, and generated keys are mostly short and repeat.
        case.headers["Idempotency-Key"] = f"{uuid4().hex}-{case.headers['Idempotency-Key']}"[:255]
    if name == "create_webhook_endpoint" and isinstance(case.body, dict):
        case.body["url"] = RECEIVER  # never a host on the internet
    if case.headers and not TAG.fullmatch(case.headers.get("If-Match", "*")):
        del case.headers["If-Match"]  # left from an invalid case; this one is valid
    match_fields(name, case)
    if name == "receive_provider_event":
        sign(case)
    if name in SCENARIOS and is_allowed(case) and played[name] < SCENARIOS_PER_OPERATION:
        played[name] += 1
        try:
            provider("DELETE", "/sim/faults")
            apply(SCENARIOS[name](), case)
            prepared.add(case.id)
        except Exception as error:  # the summary prints it if the operation never succeeded
            broken[name] = f"{type(error).__name__}: {error}"


def match_fields(name: str, case: Any) -> None:
    """Makes fields consistent where one decides the type of another, which a schema cannot express."""
    if name == "create_token" and isinstance(case.body, dict) and isinstance(case.body.get("subject"), str):
        case.body["subject"] = PREFIXES[case.body["role"]] + case.body["subject"][3:]
    if name in ("get_ledger", "list_postings") and {"account", "owner_id"} <= set(case.query or {}):
        prefix = "drv" if case.query["account"] in DRIVERS_ACCOUNTS else "rdr"
        case.query["owner_id"] = prefix + case.query["owner_id"][3:]


def apply(ids: Ids, case: Any) -> None:
    for parameter in case.path_parameters or {}:
        if parameter in ids:
            case.path_parameters[parameter] = ids[parameter]
    if case.operation.body:
        case.body = BODIES.get(name_of(case), lambda ids: {})(ids)
    for header in ("If-Match", "If-None-Match"):
        if case.headers and header in case.headers:
            del case.headers[header]


def sign(case: Any) -> None:
    """Signs the event as the provider does."""
    event = {"id": f"evt_{uuid4().hex}", "object": "event", "type": "payment_intent.succeeded"}
    event["data"] = {"object": {"id": f"pi_{uuid4().hex}", "object": "payment_intent"}}
    now, raw = int(time.time()), json.dumps(event)
    case.body = event
    signature = hmac.new(WEBHOOK_SECRET.encode(), f"{now}.{raw}".encode(), hashlib.sha256).hexdigest()
    case.headers["Stripe-Signature"] = f"t={now},v1={signature}"


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    responses[name_of(case), response.status_code] += 1
    if name_of(case) == "kill_service" and response.status_code == 202:
        until("the service is gone", lambda: not is_ready())
        until("the service is back", is_ready)
    if case.id in prepared and response.status_code >= 400:
        broken[name_of(case)] = f"{response.status_code}: {response.text}"


@atexit.register
def write_tally() -> None:
    receiver.shutdown()
    tally = [{"operation": name, "status": status, "times": times} for (name, status), times in responses.items()]
    with open(os.environ["SCENARIO_TALLY"], "a", encoding="utf-8") as file:
        file.write(json.dumps({"role": ROLE, "responses": tally, "broken": broken}) + "\n")
