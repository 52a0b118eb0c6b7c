"""Scenes for Schemathesis: what has to have happened before a request can succeed.

Generated data alone never finds an offer that is still open, or the PIN of a trip. So the first valid requests of each operation are
given the ids and the body of a scene that was just played; all others go out as they were generated. Every answer is counted.

SCENES_ROLE and SCENES_TOKENS say who is tested; SCENES_PROVIDER is the simulator's address with its key; SCENES_TALLY is the file that
the count is added to.
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
from typing import Any
from uuid import uuid4

import requests
import schemathesis

BASE_URL = os.environ["SCENES_BASE_URL"]
ROLE = os.environ["SCENES_ROLE"]
TOKENS: dict[str, str] = json.loads(os.environ["SCENES_TOKENS"])
PROVIDER, PROVIDER_KEY = os.environ["SCENES_PROVIDER"].split(" ")
WEBHOOK_SECRET = os.environ["SCENES_WEBHOOK_SECRET"]

SCENES_PER_OPERATION = 2
PATIENCE_S = 20

# Each run has a part of the world to itself, so that nobody else's driver is nearer.
LAT, LON = random.uniform(-60, 60), random.uniform(-170, 170)
PICKUP = {"lat": LAT, "lon": LON}
DROPOFF = {"lat": LAT + 0.01, "lon": LON + 0.01}
CENTS = {"amount": 100, "currency": "USD"}
TAG = re.compile(r'\*|(W/)?"[0-9]{1,18}"')
NOTE = "Looked into by a test."
DRIVERS_ACCOUNTS = {"driver_payable"}
PREFIXES = {"rider": "rdr", "driver": "drv", "gateway": "gwy", "ops": "ops"}

Scene = dict[str, Any]


def ask(role: str, method: str, path: str, body: Any = None) -> requests.Response:
    headers = {"Idempotency-Key": str(uuid4())}
    if role in TOKENS:
        headers["Authorization"] = f"Bearer {TOKENS[role]}"
    return requests.request(method, BASE_URL + path, headers=headers, json=body, timeout=10)


def get(role: str, path: str) -> Any:
    answer = ask(role, "GET", path)
    assert answer.ok, f"{path}: {answer.text}"
    return answer.json()


def post(role: str, path: str, body: Any = None) -> Any:
    answer = ask(role, "POST", path, {} if body is None else body)
    assert answer.ok, f"{path}: {answer.text}"
    return answer.json()


def until(what: str, look: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.02)
    raise TimeoutError(f"waited {PATIENCE_S} s in vain until {what}")


def provider(method: str, path: str, **kwargs: Any) -> Any:
    answer = requests.request(method, PROVIDER + path, auth=(PROVIDER_KEY, ""), timeout=10, **kwargs)
    assert answer.ok, f"{path}: {answer.text}"
    return answer.json()


def is_ready() -> bool:
    try:
        return requests.get(BASE_URL + "/readyz", timeout=1).json().get("matcher") is True
    except (requests.RequestException, ValueError):
        return False


# The steps of a ride.


def nothing_under_way() -> None:
    """Whatever the requests before have left: an offer, a trip, a clock that races."""
    ask("nobody", "POST", "/v1/sandbox/clock", {"scale": 1})
    provider("DELETE", "/sim/faults")
    over = {"completed", "cancelled", "no_driver", "no_show", "aborted", "payment_failed"}
    for role in ("rider", "driver"):
        for trip in get(role, "/v1/trips?limit=5")["items"]:
            if trip["state"] not in over:
                if not ask("ops", "POST", f"/v1/trips/{trip['id']}/abort", {}).ok:
                    ask("rider", "POST", f"/v1/trips/{trip['id']}/cancel", {})
    driver_offline = ask("driver", "PUT", "/v1/drivers/me/availability", {"available": False})
    assert driver_offline.status_code in (200, 422), driver_offline.text


def drive_to_the_pickup() -> bool:
    now = get("nobody", "/v1/sandbox/clock")["domain"]
    report = {"position": PICKUP, "recorded_at": now}
    answer = ask("driver", "PUT", "/v1/drivers/me/location", report)
    return answer.ok and answer.json()["verdict"] == "accepted"


def online() -> Scene:
    nothing_under_way()
    vehicle = {"available": True, "name": "Dora", "class": "standard", "plate": "RM 1"}
    assert (answer := ask("driver", "PUT", "/v1/drivers/me/availability", vehicle)).ok, answer.text
    until("the driver's position counts", drive_to_the_pickup)
    return {}


def quoted() -> Scene:
    online()
    quote = post("rider", "/v1/quotes", {"pickup": PICKUP, "dropoff": DROPOFF})
    return {"quote_id": quote["id"], "payment_method": "pm_card_visa"}


def requested() -> Scene:
    trip = post("rider", "/v1/trips", quoted())
    return {"trip_id": trip["id"], "payment_id": trip["payment_id"], "pin": trip["pin"]}


def offered() -> Scene:
    scene = requested()
    offer = until("there is an offer", lambda: get("driver", "/v1/drivers/me")["offer"])
    return scene | {"offer_id": offer["id"]}


def assigned() -> Scene:
    scene = offered()
    post("driver", f"/v1/offers/{scene['offer_id']}/accept")
    drive_to_the_pickup()
    return scene


def arrived() -> Scene:
    scene = assigned()
    post("driver", f"/v1/trips/{scene['trip_id']}/arrive")
    return scene


def waited_in_vain() -> Scene:
    scene = arrived()
    post("nobody", "/v1/sandbox/clock", {"advance_s": 301})
    return scene


def locked() -> Scene:
    scene = arrived()
    wrong = "1111" if scene["pin"] == "0000" else "0000"
    for _ in range(5):
        ask("driver", "POST", f"/v1/trips/{scene['trip_id']}/start", {"pin": wrong})
    return scene


def started() -> Scene:
    scene = arrived()
    post("driver", f"/v1/trips/{scene['trip_id']}/start", {"pin": scene["pin"]})
    return scene


def completed() -> Scene:
    scene = started()
    post("driver", f"/v1/trips/{scene['trip_id']}/complete")
    paid = lambda: get("ops", f"/v1/payments/{scene['payment_id']}")["state"] == "captured"
    until("the fare is captured", paid)
    return scene


# What waits for an operator.


def waiting() -> set[str]:
    return {one["subject"] for one in get("ops", "/v1/ops/reconciliation")["attention"]["items"]}


def intent_of(payment: str) -> str:
    intents = provider("GET", "/v1/payment_intents", params={"limit": 100})["data"]
    return next(intent["id"] for intent in intents if intent["metadata"].get("payment_id") == payment)


def owed() -> Scene:
    """The hold is lost during the ride, and the card is good for no other."""
    scene, before = started(), waiting()
    provider("PUT", "/sim/faults", json={"faults": [{"on": "confirm", "kind": "decline", "code": "lost_card"}]})
    provider("POST", f"/v1/payment_intents/{intent_of(scene['payment_id'])}/cancel")
    lost = lambda: get("ops", f"/v1/payments/{scene['payment_id']}")["state"] == "auth_expired"
    until("the hold is lost", lost)
    post("driver", f"/v1/trips/{scene['trip_id']}/complete")
    debt = until("the debt is seen", lambda: waiting() - before).pop()
    provider("DELETE", "/sim/faults")
    return {"payment_id": debt}


def refund_refused() -> Scene:
    """Somebody has given everything back at the provider's already."""
    scene, before = completed(), waiting()
    provider("POST", "/v1/refunds", data={"payment_intent": intent_of(scene["payment_id"])})
    refund = post("ops", f"/v1/payments/{scene['payment_id']}/refunds", {"amount": CENTS})
    until("the refund has failed", lambda: refund["id"] in waiting() - before)
    return {"refund_id": refund["id"]}


def compared() -> Scene:
    run = post("ops", "/v1/ops/reconciliation/runs", {})
    seen = until("the run is over", lambda: (run_of(run["id"]) or {}).get("finished_at") and run)
    return {"run_id": seen["id"]}


def run_of(run: str) -> Any:
    return get("ops", f"/v1/ops/reconciliation/runs/{run}")


def found() -> Scene:
    """Somebody has made an intent at the provider for a payment that we do not have."""
    form = {"amount": 1000, "currency": "usd", "payment_method": "pm_card_visa", "capture_method": "manual"}
    form["metadata[payment_id]"] = "pay_01h455vb4pex5vsknk084sn02q"
    provider("POST", "/v1/payment_intents", data=form | {"confirm": "true"})
    compared()
    findings = get("ops", "/v1/ops/reconciliation/findings?state=open&limit=1")["items"]
    assert findings, "the comparison has found nothing"
    return {"finding_id": findings[0]["id"]}


def listening() -> Scene:
    for endpoint in get("ops", "/v1/ops/webhook_endpoints?limit=100")["items"]:
        ask("ops", "DELETE", f"/v1/ops/webhook_endpoints/{endpoint['id']}")
    return {"endpoint_id": post("ops", "/v1/ops/webhook_endpoints", ENDPOINT)["id"]}


def deaf() -> Scene:
    scene = listening()
    post("ops", f"/v1/ops/webhook_endpoints/{scene['endpoint_id']}/disable")
    return scene


def delivered() -> Scene:
    scene = listening()
    requested()
    path = f"/v1/ops/webhook_endpoints/{scene['endpoint_id']}/deliveries"
    done = lambda: [one for one in get("ops", path)["items"] if one["state"] == "delivered"]
    return scene | {"delivery_id": until("something is delivered", done)[0]["id"]}


class Silent(http.server.BaseHTTPRequestHandler):
    """Takes what it is told, and says nothing."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Silent)
threading.Thread(target=receiver.serve_forever, daemon=True).start()
RECEIVER = f"http://127.0.0.1:{receiver.server_port}/"
ENDPOINT = {"url": RECEIVER, "event_types": ["trip.*"]}

def traced() -> Scene:
    return {"trace_id": ask("rider", "GET", "/v1/trips").headers["Trace-Id"]}


SCENES: dict[str, Callable[[], Scene]] = {
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
    "report_no_show": waited_in_vain,
    "reset_pin": locked,
    "complete_trip": started,
    "abort_trip": started,
    "tip_driver": completed,
    "get_payment": requested,
    "create_refund": completed,
    "resolve_payment": owed,
    "resolve_refund": refund_refused,
    "get_profile": online,
    "follow_driver_events": online,
    "open_driver_stream": online,
    "get_reconciliation_run": compared,
    "get_finding": found,
    "resolve_finding": found,
    "create_webhook_endpoint": listening,
    "get_webhook_endpoint": listening,
    "delete_webhook_endpoint": listening,
    "disable_webhook_endpoint": listening,
    "enable_webhook_endpoint": deaf,
    "rotate_webhook_secret": listening,
    "list_webhook_deliveries": listening,
    "redeliver_webhook": delivered,
    "get_request_sql": traced,
    "get_provider_view": assigned,
    "expire_reservation": assigned,
}

# What is said in a scene, where more than nothing has to be said.
BODIES: dict[str, Callable[[Scene], Any]] = {
    "request_trip": lambda scene: scene,
    "start_trip": lambda scene: {"pin": scene["pin"]},
    "tip_driver": lambda scene: {"amount": CENTS},
    "create_refund": lambda scene: {"amount": CENTS},
    "resolve_payment": lambda scene: {"action": "retry", "note": NOTE},
    "resolve_refund": lambda scene: {"action": "retry", "note": NOTE},
    "resolve_finding": lambda scene: {"note": NOTE},
    "create_webhook_endpoint": lambda scene: ENDPOINT,
}

# How often each operation was given a scene, and the requests that were; operation and status of each answer.
played: Counter[str] = Counter()
on_stage: set[str] = set()
answers: Counter[tuple[str, int]] = Counter()
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
        # The document's example is good for one request only; what was generated is mostly short, and soon used.
        case.headers["Idempotency-Key"] = f"{uuid4().hex}-{case.headers['Idempotency-Key']}"[:255]
    if name == "create_webhook_endpoint" and isinstance(case.body, dict):
        case.body["url"] = RECEIVER  # never a stranger's
    if case.headers and not TAG.fullmatch(case.headers.get("If-Match", "*")):
        del case.headers["If-Match"]  # left over from an invalid case; this one is meant to be valid
    fit_together(name, case)
    if name == "receive_provider_event":
        sign(case)
    if name in SCENES and is_allowed(case) and played[name] < SCENES_PER_OPERATION:
        played[name] += 1
        try:
            provider("DELETE", "/sim/faults")
            play(SCENES[name](), case)
            on_stage.add(case.id)
        except Exception as error:  # the summary tells, when the operation never succeeded
            broken[name] = f"{type(error).__name__}: {error}"


def fit_together(name: str, case: Any) -> None:
    """A schema cannot say that one field decides what kind of id another one is."""
    if name == "create_token" and isinstance(case.body, dict) and isinstance(case.body.get("subject"), str):
        case.body["subject"] = PREFIXES[case.body["role"]] + case.body["subject"][3:]
    if name in ("get_ledger", "list_postings") and {"account", "owner_id"} <= set(case.query or {}):
        prefix = "drv" if case.query["account"] in DRIVERS_ACCOUNTS else "rdr"
        case.query["owner_id"] = prefix + case.query["owner_id"][3:]


def play(scene: Scene, case: Any) -> None:
    for parameter in case.path_parameters or {}:
        if parameter in scene:
            case.path_parameters[parameter] = scene[parameter]
    if case.operation.body:
        case.body = BODIES.get(name_of(case), lambda scene: {})(scene)
    for header in ("If-Match", "If-None-Match"):
        if case.headers and header in case.headers:
            del case.headers[header]


def sign(case: Any) -> None:
    """As the provider signs: nobody else's events are taken."""
    event = {"id": f"evt_{uuid4().hex}", "object": "event", "type": "payment_intent.succeeded"}
    event["data"] = {"object": {"id": f"pi_{uuid4().hex}", "object": "payment_intent"}}
    now, raw = int(time.time()), json.dumps(event)
    case.body = event
    signature = hmac.new(WEBHOOK_SECRET.encode(), f"{now}.{raw}".encode(), hashlib.sha256).hexdigest()
    case.headers["Stripe-Signature"] = f"t={now},v1={signature}"


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    answers[name_of(case), response.status_code] += 1
    if name_of(case) == "kill_service" and response.status_code == 202:
        until("the service is gone", lambda: not is_ready())
        until("the service is back", is_ready)
    if case.id in on_stage and response.status_code >= 400:
        broken[name_of(case)] = f"{response.status_code}: {response.text}"


@atexit.register
def tell() -> None:
    receiver.shutdown()
    tally = [{"operation": name, "status": status, "times": times} for (name, status), times in answers.items()]
    with open(os.environ["SCENES_TALLY"], "a", encoding="utf-8") as file:
        file.write(json.dumps({"role": ROLE, "answers": tally, "broken": broken}) + "\n")
