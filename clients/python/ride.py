"""Completes one ride with a generated client: python ride.py http://127.0.0.1:8080

Requires a demo without simulated drivers (`ridematch demo --drivers 0`), so that this driver is the nearest.
"""

import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import uuid4

from ridematch_client import AuthenticatedClient, Client
from ridematch_client.api.drivers import get_profile, report_location, set_availability
from ridematch_client.api.offers import accept_offer
from ridematch_client.api.ops import get_ledger
from ridematch_client.api.payments import create_refund, get_payment
from ridematch_client.api.quotes import create_quote
from ridematch_client.api.sandbox import create_token, get_clock
from ridematch_client.api.trips import (
    arrive_at_pickup,
    complete_trip,
    get_receipt,
    get_trip,
    request_trip,
    start_trip,
)
from ridematch_client.models import (
    AvailabilityRequest,
    LocationRequest,
    Money,
    Position,
    QuoteRequest,
    RefundRequest,
    Role,
    StartRequest,
    TokenRequest,
    TripRequest,
    VehicleClass,
)
from ridematch_client.types import Response

BASE_URL = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"
TIMEOUT_S = 20

PICKUP = Position(lat=40.7501, lon=-73.98)
DROPOFF = Position(lat=40.77, lon=-73.96)

Found = TypeVar("Found")


def ok(response: Response[Any], status: int = 200) -> Any:
    """Checks the status and returns the body."""
    assert response.status_code == status, f"{response.status_code}: {response.content.decode()}"
    return response.parsed


def until(what: str, poll: Callable[[], Found | None]) -> Found:
    """Polls until the result is truthy."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        if found := poll():
            return found
        time.sleep(0.1)
    raise TimeoutError(f"timed out after {TIMEOUT_S} s waiting until {what}")


def new_client(role: Role) -> AuthenticatedClient:
    token = ok(create_token.sync_detailed(client=anonymous, body=TokenRequest(role=role)), 201)
    return AuthenticatedClient(base_url=BASE_URL, token=token.token)


def key() -> str:
    """A new idempotency key, which makes a command safe to repeat."""
    return str(uuid4())


anonymous: Any = Client(base_url=BASE_URL)
rider, driver, ops = new_client(Role.RIDER), new_client(Role.DRIVER), new_client(Role.OPS)

# Go online, and report a location in domain time.
vehicle = AvailabilityRequest(available=True, name="Dora", class_=VehicleClass.STANDARD, plate="RM 1")
assert ok(set_availability.sync_detailed(client=driver, body=vehicle)).availability == "online"


def at_the_pickup() -> bool:
    now = ok(get_clock.sync_detailed(client=anonymous)).domain
    report = LocationRequest(position=PICKUP, recorded_at=now)
    return ok(report_location.sync_detailed(client=driver, body=report)).verdict == "accepted"


until("the driver's position is accepted", at_the_pickup)

# Request a trip twice with one key: the second response is a replay.
quote = ok(create_quote.sync_detailed(client=rider, body=QuoteRequest(pickup=PICKUP, dropoff=DROPOFF)), 201)
print(f"a ride of {quote.distance_m} m costs {quote.price.amount / 100:.2f} {quote.price.currency}")
body = TripRequest(quote_id=quote.id, payment_method="pm_card_visa")
once = key()
first = request_trip.sync_detailed(client=rider, body=body, idempotency_key=once)
again = request_trip.sync_detailed(client=rider, body=body, idempotency_key=once)
trip = ok(first, 201)
assert again.content == first.content and again.headers["Idempotent-Replayed"] == "true"

# Accept, arrive, start with the PIN, and complete.
offer = until("the driver has an offer", lambda: ok(get_profile.sync_detailed(client=driver)).offer)
assert offer.trip_id == trip.id
assert ok(accept_offer.sync_detailed(offer.id, client=driver, idempotency_key=key())).trip.state == "assigned"
assert at_the_pickup()
assert ok(arrive_at_pickup.sync_detailed(trip.id, client=driver, idempotency_key=key())).state == "arrived"
pin = StartRequest(pin=trip.pin)
assert ok(start_trip.sync_detailed(trip.id, client=driver, body=pin, idempotency_key=key())).state == "in_progress"
assert ok(complete_trip.sync_detailed(trip.id, client=driver, idempotency_key=key())).state == "completed"

# The capture follows; then refund one dollar.
until(
    "the fare is captured",
    lambda: ok(get_payment.sync_detailed(trip.payment_id, client=rider)).state == "captured",
)
refund = RefundRequest(amount=Money(amount=100, currency=quote.price.currency))
ok(create_refund.sync_detailed(trip.payment_id, client=ops, body=refund, idempotency_key=key()), 201)
receipt = until(
    "the refund is on the receipt",
    lambda: (found := ok(get_receipt.sync_detailed(trip.id, client=rider))).refunded.amount and found,
)
assert (receipt.total, receipt.captured, receipt.due.amount) == (quote.price, quote.price, 0)
assert receipt.refunded == refund.amount
ledger = ok(get_ledger.sync_detailed(client=ops, trip_id=trip.id))
assert ledger.accounts and sum(account.balance for account in ledger.accounts) == 0, "every posting sums to zero"
assert ok(get_trip.sync_detailed(trip.id, client=ops)).state == "completed"
print(f"{trip.id} is completed: {receipt.captured.amount} captured, {receipt.refunded.amount} refunded, the ledger balances")
