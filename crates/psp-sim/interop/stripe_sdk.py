"""Tests psp-sim with the official `stripe` package.

    stripe_sdk.py PROGRAM [ARGUMENT ...]

starts the program with an empty data directory and a webhook receiver in this process. `.ci/interop-stripe` installs
the package and runs this script.
"""

import http.server
import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.request

import stripe

KEY = "sk_test_interop"
SECRET = "whsec_interop"
DELIVERY_S_MAX = 10
TOLERANCE_S = 300
MANUAL = {"amount": 1000, "currency": "usd", "capture_method": "manual", "payment_method": "pm_card_visa"}


class Receiver(http.server.BaseHTTPRequestHandler):
    """Receives every delivery, and verifies it with `construct_event`."""

    deliveries = queue.Queue()

    def do_POST(self):
        payload = self.rfile.read(int(self.headers["Content-Length"]))
        signature = self.headers["Stripe-Signature"]
        try:
            result = stripe.Webhook.construct_event(payload, signature, SECRET, TOLERANCE_S)
            self.send_response(200)
        except stripe.SignatureVerificationError as error:
            result = error
            self.send_response(400)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.deliveries.put((payload, signature, result))

    def log_message(self, *_):
        pass

    @classmethod
    def next(cls):
        """The next delivery: its payload, its signature, and the event or the error."""
        return cls.deliveries.get(timeout=DELIVERY_S_MAX)

    @classmethod
    def drain(cls):
        """Waits until no event is pending, and discards the deliveries."""
        until = time.monotonic() + DELIVERY_S_MAX
        while sim("GET", "/sim/state")["events_pending"] > 0:
            assert time.monotonic() < until, "events are still pending"
            time.sleep(0.02)
        while not cls.deliveries.empty():
            cls.deliveries.get()


class Sim:
    """The program under test."""

    def __init__(self, program, webhook_url, directory):
        arguments = ["--listen", "127.0.0.1:0", "--data-dir", directory, "--secret-key", KEY, "--exit-with-parent"]
        arguments += ["--webhook-url", webhook_url, "--webhook-secret", SECRET, "--any-version"]
        self.process = subprocess.Popen(program + arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline().strip()
        assert line.startswith("listening on "), f"unexpected first line: {line!r}"
        self.base = line.removeprefix("listening on ")

    def stop(self):
        self.process.stdin.close()
        self.process.wait(timeout=10)


def sim(method, path, body=None):
    """Calls the control interface, which the package does not cover."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    request = urllib.request.Request(running.base + path, data=data, headers=headers, method=method)
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


def inject(**fault):
    sim("PUT", "/sim/faults", {"faults": [{"times": 1, **fault}]})


def client(key=KEY, retries=0):
    return stripe.StripeClient(key, base_addresses={"api": running.base}, max_network_retries=retries).v1


def create(**params):
    return client().payment_intents.create({**MANUAL, **params})


def authorized(**params):
    return client().payment_intents.confirm(create(**params).id)


def captured(**params):
    return client().payment_intents.capture(authorized(**params).id)


def fails(kind, call, **expected):
    """Returns the error of the call, after checking its class and attributes."""
    try:
        call()
    except stripe.StripeError as error:
        assert type(error) is kind, f"{type(error).__name__} instead of {kind.__name__}: {error}"
        for name, value in expected.items():
            assert getattr(error, name) == value, f"{name} is {getattr(error, name)!r}, not {value!r}"
        return error
    raise AssertionError(f"no {kind.__name__}")


def create_confirm_capture():
    intent = create(metadata={"payment_id": "pay_1"}, description="A ride")
    assert (intent.status, intent.metadata["payment_id"]) == ("requires_confirmation", "pay_1")
    intent = client().payment_intents.confirm(intent.id)
    assert (intent.status, intent.amount_capturable) == ("requires_capture", 1000)
    intent = client().payment_intents.capture(intent.id)
    assert (intent.status, intent.amount_received) == ("succeeded", 1000)
    assert client().payment_intents.retrieve(intent.id).to_dict() == intent.to_dict()


def partial_capture_releases_the_rest():
    intent = client().payment_intents.capture(authorized().id, {"amount_to_capture": 600})
    assert (intent.amount, intent.amount_received, intent.amount_capturable) == (1000, 600, 0)
    movements = {payment["id"]: payment["movements"] for payment in sim("GET", "/sim/state")["payment_intents"]}
    moved = [(movement["type"], movement["amount"]) for movement in movements[intent.id]]
    assert moved == [("authorized", 1000), ("captured", 600), ("released", 400)], moved


def command_not_allowed_in_the_status_is_400():
    unexpected = {"http_status": 400, "code": "payment_intent_unexpected_state"}
    intents = client().payment_intents
    done = captured()
    error = fails(stripe.InvalidRequestError, lambda: intents.capture(done.id), **unexpected)
    assert error.error.payment_intent.status == "succeeded"
    fails(stripe.InvalidRequestError, lambda: intents.cancel(done.id), **unexpected)
    canceled = intents.cancel(authorized().id, {"cancellation_reason": "abandoned"})
    assert (canceled.status, canceled.cancellation_reason) == ("canceled", "abandoned")
    fails(stripe.InvalidRequestError, lambda: intents.confirm(canceled.id), **unexpected)
    too_much = lambda: intents.capture(authorized().id, {"amount_to_capture": 1001})
    fails(stripe.InvalidRequestError, too_much, code="amount_too_large", param="amount_to_capture")


def refunds_never_exceed_the_capture():
    intent = captured()
    refund = lambda **params: client().refunds.create({"payment_intent": intent.id, **params})
    assert refund(amount=300, reason="requested_by_customer").status == "succeeded"
    assert refund(amount=300, metadata={"refund_id": "rfd_1"}).metadata["refund_id"] == "rfd_1"
    fails(stripe.InvalidRequestError, lambda: refund(amount=401), http_status=400, param="amount")
    assert refund().amount == 400, "the rest"
    fails(stripe.InvalidRequestError, refund, code="charge_already_refunded")
    listed = client().refunds.list({"payment_intent": intent.id})
    assert [found.amount for found in listed.data] == [400, 300, 300]
    assert client().refunds.retrieve(listed.data[0].id).amount == 400


def automatic_capture_in_yen():
    params = {"amount": 500, "currency": "jpy", "payment_method": "pm_card_mastercard", "confirm": True}
    intent = client().payment_intents.create({**params, "payment_method_types": ["card"]})
    assert (intent.status, intent.amount_received, intent.currency) == ("succeeded", 500, "jpy")


def declines_are_card_errors():
    for method, code, decline_code in [
        ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", None),
        ("pm_sim_decline_do_not_honor", "card_declined", "do_not_honor"),
    ]:
        intent = create()
        confirm = lambda: client().payment_intents.confirm(intent.id, {"payment_method": method})
        error = fails(stripe.CardError, confirm, http_status=402, code=code)
        assert error.error.decline_code == decline_code, error.error
        assert error.user_message, "a message for the cardholder"
        assert error.error.payment_intent.status == "requires_payment_method"
        again = client().payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
        assert again.status == "requires_capture"


def challenge_requires_action_or_declines():
    intent = client().payment_intents.confirm(create(payment_method="pm_card_authenticationRequired").id)
    assert (intent.status, intent.next_action.type) == ("requires_action", "use_stripe_sdk")
    unattended = lambda: client().payment_intents.confirm(
        create().id, {"payment_method": "pm_card_authenticationRequired", "off_session": True}
    )
    fails(stripe.CardError, unattended, code="authentication_required")


def key_replays_the_response():
    options = {"idempotency_key": "interop-1"}
    first = client().payment_intents.create(MANUAL, options)
    client().payment_intents.confirm(first.id)
    second = client().payment_intents.create(MANUAL, options)
    assert second.to_dict() == first.to_dict(), "the first response, not the current status"
    assert second.last_response.headers["idempotent-replayed"] == "true"
    assert second.last_response.headers["original-request"] == first.last_response.request_id
    other = lambda: client().payment_intents.create({**MANUAL, "amount": 1001}, options)
    fails(stripe.IdempotencyError, other, http_status=400)
    elsewhere = lambda: client().payment_intents.cancel(first.id, {}, options)
    fails(stripe.IdempotencyError, elsewhere, http_status=400)


def key_in_use_is_409():
    intent, options = create(), {"idempotency_key": "interop-2"}
    inject(on="confirm", kind="latency", ms=4000)
    confirm = lambda retries: client(retries=retries).payment_intents.confirm(intent.id, {}, options)
    first = threading.Thread(target=confirm, args=(0,))
    first.start()
    until = time.monotonic() + 5
    while sim("GET", "/sim/faults")["faults"][0]["injected"] == 0:
        assert time.monotonic() < until, "the latency was not injected"
    # The package has no class for 409, and retries it if retries are on.
    conflict = fails(stripe.APIError, lambda: confirm(0), http_status=409)
    assert conflict.error.code == "idempotency_key_in_use"
    sim("DELETE", "/sim/faults")
    first.join()
    assert confirm(0).status == "requires_capture"


def lists_have_pages():
    since = create().created
    wanted = [create().id for _ in range(24)]
    found = client().payment_intents.list({"limit": 10, "created": {"gte": since}})
    assert (len(found.data), found.has_more) == (10, True)
    ids = [intent.id for intent in found.auto_paging_iter()]
    assert ids[:24] == wanted[::-1], "newest first, across the pages"
    assert len(ids) == len(set(ids))
    backwards = client().payment_intents.list({"limit": 5, "ending_before": wanted[0]})
    assert [intent.id for intent in backwards.auto_paging_iter()] == wanted[1:]


def invalid_requests_are_errors():
    wrong_key = lambda: client(key="sk_test_other").payment_intents.create(MANUAL)
    fails(stripe.AuthenticationError, wrong_key, http_status=401)
    nothing = lambda: client().payment_intents.retrieve("pi_none")
    fails(stripe.InvalidRequestError, nothing, http_status=404, code="resource_missing")
    misspelled = lambda: create(amuont=1)
    fails(stripe.InvalidRequestError, misspelled, code="parameter_unknown", param="amuont")


def lost_response_is_retried_by_the_package():
    for kind in ["reset_after", "reset_before", "error_503"]:
        intent = create()
        inject(on="confirm", kind=kind)
        confirmed = client(retries=2).payment_intents.confirm(intent.id)
        assert confirmed.status == "requires_capture", kind
        replayed = confirmed.last_response.headers.get("idempotent-replayed")
        assert replayed == ("true" if kind == "reset_after" else None), kind


def error_500_is_not_retried():
    intent = create()
    inject(on="confirm", kind="error_500_after")
    fails(stripe.APIError, lambda: client(retries=2).payment_intents.confirm(intent.id), http_status=500)
    assert client().payment_intents.retrieve(intent.id).status == "requires_capture"
    assert sim("GET", "/sim/faults")["faults"][0]["injected"] == 1


def rate_limited_is_429():
    inject(on="list", kind="rate_limited")
    error = fails(stripe.RateLimitError, lambda: client().payment_intents.list(), http_status=429)
    assert error.headers["retry-after"] == "1"


def malformed_body_is_an_api_error():
    inject(on="get", kind="malformed")
    intent = create()
    fails(stripe.APIError, lambda: client().payment_intents.retrieve(intent.id))


def deliveries_have_valid_signatures():
    Receiver.drain()
    intent = captured()
    client().refunds.create({"payment_intent": intent.id, "amount": 100})
    events = [Receiver.next()[2] for _ in range(4)]
    assert all(isinstance(event, stripe.Event) for event in events), events
    assert sorted(event.type for event in events) == [
        "charge.refunded",
        "payment_intent.amount_capturable_updated",
        "payment_intent.succeeded",
        "refund.updated",
    ]
    succeeded = next(event for event in events if event.type == "payment_intent.succeeded")
    assert succeeded.data.object.to_dict() == intent.to_dict()


def forged_delivery_fails_the_verification():
    Receiver.drain()
    authorized()
    payload, signature, _ = Receiver.next()
    forged = payload.replace(b'"amount":1000', b'"amount":9000')
    assert forged != payload
    fails(stripe.SignatureVerificationError, lambda: stripe.Webhook.construct_event(forged, signature, SECRET))
    other = lambda: stripe.Webhook.construct_event(payload, signature, "whsec_other")
    fails(stripe.SignatureVerificationError, other)


def invalid_deliveries_are_retried():
    for kind, reason in [
        ("wrong_signature", "No signatures found"),
        ("old_time_stamp", "Timestamp outside the tolerance zone"),
    ]:
        Receiver.drain()
        inject(on="webhook", kind=kind)
        authorized()
        result = Receiver.next()[2]
        assert isinstance(result, stripe.SignatureVerificationError), result
        assert reason in str(result), result
        sim("POST", "/sim/webhooks/flush")
        assert isinstance(Receiver.next()[2], stripe.Event), "the next attempt is valid"


def lost_event_can_be_resent():
    Receiver.drain()
    inject(on="webhook", kind="lost")
    lost = authorized()
    Receiver.drain()
    [event] = sim("GET", f"/sim/events?payment_intent={lost.id}")["events"]
    sim("POST", f"/sim/events/{event['id']}/resend")
    assert Receiver.next()[2].id == event["id"]


CHECKS = [
    create_confirm_capture,
    partial_capture_releases_the_rest,
    command_not_allowed_in_the_status_is_400,
    refunds_never_exceed_the_capture,
    automatic_capture_in_yen,
    declines_are_card_errors,
    challenge_requires_action_or_declines,
    key_replays_the_response,
    key_in_use_is_409,
    lists_have_pages,
    invalid_requests_are_errors,
    lost_response_is_retried_by_the_package,
    error_500_is_not_retried,
    rate_limited_is_429,
    malformed_body_is_an_api_error,
    deliveries_have_valid_signatures,
    forged_delivery_fails_the_verification,
    invalid_deliveries_are_retried,
    lost_event_can_be_resent,
]


def main():
    failed = 0
    for check in CHECKS:
        sim("DELETE", "/sim/faults")
        try:
            check()
            print(f"ok      {check.__name__}")
        except Exception:
            failed += 1
            print(f"FAILED  {check.__name__}")
            traceback.print_exc(file=sys.stdout)
    print(f"stripe {stripe.VERSION}: {len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as data_dir:
        running = Sim(sys.argv[1:], f"http://127.0.0.1:{server.server_port}/webhooks", data_dir)
        try:
            status = main()
        finally:
            running.stop()
    sys.exit(status)
