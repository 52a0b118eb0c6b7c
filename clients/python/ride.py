"""One ride by a generated client, from token to receipt: python ride.py http://127.0.0.1:8080

The service has to be a demo without drivers of its own (`ridematch demo --drivers 0`), so that ours is the nearest.
"""

import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import uuid4

from ridematch_client import AuthenticatedClient, Client
from ridematch_client.api.drivers import accept_offer, get_profile, report_location, set_availability
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
PATIENCE_S = 20

PICKUP = Position(lat=40.7501, lon=-73.98)
DROPOFF = Position(lat=40.77, lon=-73.96)

Found = TypeVar("Found")


def ok(response: Response[Any], status: int = 200) -> Any:
    """What came back, which has to be what was hoped for."""
    assert response.status_code == status, f"{response.status_code}: {response.content.decode()}"
    return response.parsed


def until(what: str, look: Callable[[], Found | None]) -> Found:
    """Looks again and again until there is something to see."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.1)
    raise TimeoutError(f"waited {PATIENCE_S} s in vain until {what}")


def somebody(role: Role) -> AuthenticatedClient:
    token = ok(create_token.sync_detailed(client=anybody, body=TokenRequest(role=role)), 201)
    return AuthenticatedClient(base_url=BASE_URL, token=token.token)


def key() -> str:
    """A command may be repeated under its key; nothing happens twice."""
    return str(uuid4())


anybody: Any = Client(base_url=BASE_URL)
rider, driver, ops = somebody(Role.RIDER), somebody(Role.DRIVER), somebody(Role.OPS)

# The driver goes online, and says where the car is, in domain time.
vehicle = AvailabilityRequest(available=True, name="Dora", class_=VehicleClass.STANDARD, plate="RM 1")
assert ok(set_availability.sync_detailed(client=driver, body=vehicle)).availability == "online"


def at_the_pickup() -> bool:
    now = ok(get_clock.sync_detailed(client=anybody)).domain
    report = LocationRequest(position=PICKUP, recorded_at=now)
    return ok(report_location.sync_detailed(client=driver, body=report)).verdict == "accepted"


until("the driver's position counts", at_the_pickup)

# The rider asks for the price, and takes it; what is asked for twice under one key is had once.
quote = ok(create_quote.sync_detailed(client=rider, body=QuoteRequest(pickup=PICKUP, dropoff=DROPOFF)), 201)
print(f"a ride of {quote.distance_m} m costs {quote.price.amount / 100:.2f} {quote.price.currency}")
wish = TripRequest(quote_id=quote.id, payment_method="pm_card_visa")
once = key()
first = request_trip.sync_detailed(client=rider, body=wish, idempotency_key=once)
again = request_trip.sync_detailed(client=rider, body=wish, idempotency_key=once)
trip = ok(first, 201)
assert again.content == first.content and again.headers["Idempotent-Replayed"] == "true"

# The driver is asked, accepts, arrives, hears the PIN, and drives.
offer = until("the driver has an offer", lambda: ok(get_profile.sync_detailed(client=driver)).offer)
assert offer.trip_id == trip.id
assert ok(accept_offer.sync_detailed(offer.id, client=driver, idempotency_key=key())).trip.state == "assigned"
assert at_the_pickup()
assert ok(arrive_at_pickup.sync_detailed(trip.id, client=driver, idempotency_key=key())).state == "arrived"
pin = StartRequest(pin=trip.pin)
assert ok(start_trip.sync_detailed(trip.id, client=driver, body=pin, idempotency_key=key())).state == "in_progress"
assert ok(complete_trip.sync_detailed(trip.id, client=driver, idempotency_key=key())).state == "completed"

# The money moves by itself.
until(
    "the fare is captured",
    lambda: ok(get_payment.sync_detailed(trip.payment_id, client=rider)).state == "captured",
)
back = RefundRequest(amount=Money(amount=100, currency=quote.price.currency))
ok(create_refund.sync_detailed(trip.payment_id, client=ops, body=back, idempotency_key=key()), 201)
receipt = until(
    "the refund is on the receipt",
    lambda: (seen := ok(get_receipt.sync_detailed(trip.id, client=rider))).refunded.amount and seen,
)
assert (receipt.total, receipt.captured, receipt.due.amount) == (quote.price, quote.price, 0)
assert receipt.refunded == back.amount
ledger = ok(get_ledger.sync_detailed(client=ops, trip_id=trip.id))
assert ledger.accounts and sum(account.balance for account in ledger.accounts) == 0, "every posting sums to zero"
assert ok(get_trip.sync_detailed(trip.id, client=ops)).state == "completed"
print(f"{trip.id} is completed: {receipt.captured.amount} captured, {receipt.refunded.amount} refunded, the books balance")
