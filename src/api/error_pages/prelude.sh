# Functions for the examples of /problems: curl and jq, for bash and zsh.
#   eval "$(curl -s http://127.0.0.1:8080/problems/prelude.sh)"
B=http://127.0.0.1:8080
J='Content-Type: application/json'

# token ROLE: a token for a new rider, driver, gateway or ops.
token() { curl -s "$B/v1/sandbox/tokens" -H "$J" -d "{\"role\": \"$1\"}" | jq -r .token; }

# key: a new idempotency key.
key() { od -An -N12 -tx1 /dev/urandom | tr -d ' \n'; }

# get TOKEN PATH, put TOKEN PATH BODY, post TOKEN PATH [BODY [KEY]]: send a request and print the body of the response.
get() { curl -s "$B$2" -H "Authorization: Bearer $1"; }
put() { curl -s -X PUT "$B$2" -H "Authorization: Bearer $1" -H "$J" -d "$3"; }
post() { curl -s "$B$2" -H "Authorization: Bearer $1" -H "$J" -H "Idempotency-Key: ${4:-$(key)}" -d "${3:-"{}"}"; }

# A random place in the South Pacific, far from the drivers of the demo, and from trips of earlier examples that still search.
random() { echo $(($(od -An -N2 -tu2 /dev/urandom) % $1 + $2)); }
south=$(random 80 10) degrees=$(random 25 30) west=$(random 50 100).$(random 80 10)
PICKUP="{\"lat\": -$degrees.$south, \"lon\": -$west}"
DROPOFF="{\"lat\": -$degrees.$((south + 1)), \"lon\": -$west}"

# fault CALL KIND: gives the provider's next answer to a call a fault. no_faults: ends all faults.
fault() { curl -s "$B/v1/sandbox/provider/faults" -H "$J" -d "{\"faults\": [{\"on\": \"$1\", \"kind\": \"$2\"}]}" >/dev/null; }
no_faults() { curl -s -X DELETE "$B/v1/sandbox/provider/faults" >/dev/null; }

# advance SECONDS: advances domain time.
advance() { curl -s "$B/v1/sandbox/clock" -H "$J" -d "{\"advance_s\": $1}" >/dev/null; }

# locate DRIVER [POSITION]: sends a position of the driver, by default the pickup.
locate() {
  put "$1" /v1/drivers/me/location \
    "{\"position\": ${2:-$PICKUP}, \"recorded_at\": $(curl -s "$B/v1/sandbox/clock" | jq .domain)}" >/dev/null
}

# online DRIVER: makes the driver available at the pickup.
online() {
  put "$1" /v1/drivers/me/availability '{"available": true, "name": "Dora", "class": "standard", "plate": "RM 1"}' >/dev/null
  locate "$1"
}

# quote RIDER: creates a quote from the pickup to the dropoff; prints its id.
quote() { post "$1" /v1/quotes "{\"pickup\": $PICKUP, \"dropoff\": $DROPOFF}" | jq -r .id; }

# trip_body QUOTE: prints the body that requests a trip with a quote.
trip_body() { echo "{\"quote_id\": \"$1\", \"payment_method\": \"pm_card_visa\"}"; }

# ride RIDER: requests a trip; prints its id.
ride() { post "$1" /v1/trips "$(trip_body "$(quote "$1")")" | jq -r .id; }

# wait_for TOKEN PATH FILTER: polls until the jq filter prints something, at most 10 s; prints it.
wait_for() {
  for _ in $(seq 100); do
    found=$(get "$1" "$2" | jq -r "$3 // empty")
    if [ -n "$found" ]; then echo "$found"; return; fi
    sleep 0.1
  done
  echo "timed out waiting for $3 of $2" >&2
  return 1
}

# offer DRIVER: waits for an offer; prints its id.
offer() { wait_for "$1" /v1/drivers/me .offer.id; }

# arrived_trip RIDER DRIVER: a trip up to the driver's arrival; prints its id.
arrived_trip() {
  online "$2"
  trip=$(ride "$1")
  post "$2" "/v1/offers/$(offer "$2")/accept" >/dev/null
  post "$2" "/v1/trips/$trip/arrive" >/dev/null
  echo "$trip"
}

# completed_trip RIDER DRIVER: a completed and paid trip; prints its id.
completed_trip() {
  trip=$(arrived_trip "$1" "$2")
  post "$2" "/v1/trips/$trip/start" "{\"pin\": \"$(get "$1" "/v1/trips/$trip" | jq -r .pin)\"}" >/dev/null
  post "$2" "/v1/trips/$trip/complete" >/dev/null
  wait_for "$1" "/v1/trips/$trip/receipt" 'select(.due.amount == 0) | .trip_id'
}
