"""Books rides through a lossy network: the same request with the same key, until there is an answer.

Standard library only. Time: as many requests as bookings and lost answers, 16 at a time. Memory O(bookings)."""
import http.client
import json
import os
import random
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor, as_completed

URL = os.environ["RIDES_URL"]
TOKENS = os.environ["RIDES_TOKENS"].split()
# No proxy of the shell: the service is on this machine.
HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))

# Longer than an answer is late; a lost one is noticed when the connection closes.
TIMEOUT_S = 20
ATTEMPTS_MAX = 8
PAUSE_S = 0.1
WORKERS = 16


class Refused(Exception):
    """An answer that a repetition would not change."""


def post(path, token, body, key):
    """Sends the same request until there is an answer, and returns its body."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Idempotency-Key": key}
    request = urllib.request.Request(URL + path, json.dumps(body).encode(), headers)
    for attempt in range(ATTEMPTS_MAX):
        try:
            with HTTP.open(request, timeout=TIMEOUT_S) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            problem = json.loads(error.read() or b"{}")
            # Overload and limits pass, and so does a conflict with our own first attempt that still runs.
            if error.code < 500 and error.code != 429 and problem.get("code") != "request_in_progress":
                raise Refused(f"{path}: {error.code} {problem.get('code')}: {problem.get('detail')}") from error
        except (OSError, http.client.HTTPException):
            # No answer, or half of one. The service may have done the work: only the same key is safe.
            pass
        time.sleep(random.uniform(0, PAUSE_S * 2**attempt))
    raise Refused(f"{path}: no answer after {ATTEMPTS_MAX} attempts")


def book(line):
    """Books one ride. Returns its line of the output."""
    number, *places = line.split()
    lat, lon, to_lat, to_lon = map(float, places)
    token = TOKENS[int(number) - 1]
    trip = {"pickup": {"lat": lat, "lon": lon}, "dropoff": {"lat": to_lat, "lon": to_lon}}
    # A quote twice costs nothing: it is not a ride yet. It needs no key, and ignores one.
    quote = post("/v1/quotes", token, trip, f"quote-{number}")
    # The key belongs to the booking. The body of every attempt is the same too: one quote.
    ride = post("/v1/trips", token, {"quote_id": quote["id"], "payment_method": "pm_card_visa"}, f"booking-{number}")
    return f"{number} {ride['id']}"


def main():
    """Books all rides, and prints them as they are booked."""
    with ThreadPoolExecutor(WORKERS) as workers:
        booked = [workers.submit(book, line) for line in sys.stdin.read().splitlines()]
        failed = 0
        for future in as_completed(booked):
            try:
                print(future.result())
            except Refused as error:
                failed += 1
                print(error, file=sys.stderr)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
