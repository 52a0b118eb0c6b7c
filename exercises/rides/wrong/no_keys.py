"""Wrong: a new key, and a new quote, for every attempt. To the service each one is another booking."""
import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid
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
    for _ in range(8):
        try:
            quote = post("/v1/quotes", token, trip, str(uuid.uuid4()))
            order = {"quote_id": quote["id"], "payment_method": "pm_card_visa"}
            ride = post("/v1/trips", token, order, str(uuid.uuid4()))
            return f"{number} {ride['id']}"
        except (OSError, http.client.HTTPException):
            time.sleep(0.2)
    return f"{number} failed"


with ThreadPoolExecutor(16) as workers:
    for booked in workers.map(book, sys.stdin.read().splitlines()):
        print(booked)
