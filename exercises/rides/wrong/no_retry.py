"""Wrong: takes a lost answer for a failure. The ride exists, and the client does not know it."""
import http.client
import json
import os
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

URL = os.environ["RIDES_URL"]
TOKENS = os.environ["RIDES_TOKENS"].split()
# No proxy of the shell: the service is on this machine.
HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def post(path, token, body, key):
    """Sends one request, and returns the body of the answer."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Idempotency-Key": key}
    request = urllib.request.Request(URL + path, json.dumps(body).encode(), headers)
    with HTTP.open(request, timeout=20) as response:
        return json.load(response)


def book(line):
    """Books one ride. Returns its line of the output."""
    number, *places = line.split()
    lat, lon, to_lat, to_lon = map(float, places)
    token = TOKENS[int(number) - 1]
    trip = {"pickup": {"lat": lat, "lon": lon}, "dropoff": {"lat": to_lat, "lon": to_lon}}
    try:
        quote = post("/v1/quotes", token, trip, f"quote-{number}")
        order = {"quote_id": quote["id"], "payment_method": "pm_card_visa"}
        ride = post("/v1/trips", token, order, f"booking-{number}")
        return f"{number} {ride['id']}"
    except (OSError, http.client.HTTPException) as error:
        return f"{number} failed: {error}"


with ThreadPoolExecutor(16) as workers:
    for booked in workers.map(book, sys.stdin.read().splitlines()):
        print(booked)
