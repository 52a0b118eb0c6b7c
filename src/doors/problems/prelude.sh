# What the examples of /problems and the README's tour are made of: a few functions around curl and jq, for bash and zsh.
#   eval "$(curl -s http://127.0.0.1:8080/problems/prelude.sh)"
B=http://127.0.0.1:8080
J='Content-Type: application/json'

# token ROLE: a token for somebody new; the roles are rider, driver, gateway and ops.
token() { curl -s "$B/v1/sandbox/tokens" -H "$J" -d "{\"role\": \"$1\"}" | jq -r .token; }

# key: an idempotency key that nobody has used.
key() { od -An -N12 -tx1 /dev/urandom | tr -d ' \n'; }

# get TOKEN PATH, put TOKEN PATH BODY, post TOKEN PATH [BODY [KEY]]: a request; prints the body of the answer.
get() { curl -s "$B$2" -H "Authorization: Bearer $1"; }
put() { curl -s -X PUT "$B$2" -H "Authorization: Bearer $1" -H "$J" -d "$3"; }
post() { curl -s "$B$2" -H "Authorization: Bearer $1" -H "$J" -H "Idempotency-Key: ${4:-$(key)}" -d "${3:-"{}"}"; }

# A place in the South Pacific, another one each time: whoever else drives in this demo is far away.
south=$(($(od -An -N2 -tu2 /dev/urandom) % 80 + 10)) west=$(($(od -An -N2 -tu2 /dev/urandom) % 80 + 10))
PICKUP="{\"lat\": -45.$south, \"lon\": -120.$west}"
DROPOFF="{\"lat\": -45.$((south + 1)), \"lon\": -120.$west}"

# jump SECONDS: sets domain time ahead, past a time-out.
jump() { curl -s "$B/v1/sandbox/clock" -H "$J" -d "{\"advance_s\": $1}" >/dev/null; }

# here DRIVER [PLACE]: the driver says where the car is; at the pickup if nothing is said.
here() {
  put "$1" /v1/drivers/me/location \
    "{\"position\": ${2:-$PICKUP}, \"recorded_at\": $(curl -s "$B/v1/sandbox/clock" | jq .domain)}" >/dev/null
}

# online DRIVER: the driver is available, at the pickup.
online() {
  put "$1" /v1/drivers/me/availability '{"available": true, "name": "Dora", "class": "standard", "plate": "RM 1"}' >/dev/null
  here "$1"
}

# quote RIDER: the id of a quote from the pickup to the dropoff.
quote() { post "$1" /v1/quotes "{\"pickup\": $PICKUP, \"dropoff\": $DROPOFF}" | jq -r .id; }

# wish QUOTE: the body that asks for the trip of a quote.
wish() { echo "{\"quote_id\": \"$1\", \"payment_method\": \"pm_card_visa\"}"; }

# ride RIDER: asks for a trip; prints its id.
ride() { post "$1" /v1/trips "$(wish "$(quote "$1")")" | jq -r .id; }

# until_is TOKEN PATH FILTER: asks again and again until the filter of jq prints something, 10 s at most; prints it.
until_is() {
  for _ in $(seq 100); do
    found=$(get "$1" "$2" | jq -r "$3 // empty")
    if [ -n "$found" ]; then echo "$found"; return; fi
    sleep 0.1
  done
  echo "waited in vain for $3 of $2" >&2
  return 1
}

# offer DRIVER: waits for an offer; prints its id.
offer() { until_is "$1" /v1/drivers/me .offer.id; }

# picked_up RIDER DRIVER: from the request to the driver at the car; prints the trip's id.
picked_up() {
  online "$2"
  trip=$(ride "$1")
  post "$2" "/v1/offers/$(offer "$2")/accept" >/dev/null
  post "$2" "/v1/trips/$trip/arrive" >/dev/null
  echo "$trip"
}

# ridden RIDER DRIVER: a whole ride, paid; prints the trip's id.
ridden() {
  trip=$(picked_up "$1" "$2")
  post "$2" "/v1/trips/$trip/start" "{\"pin\": \"$(get "$1" "/v1/trips/$trip" | jq -r .pin)\"}" >/dev/null
  post "$2" "/v1/trips/$trip/complete" >/dev/null
  until_is "$1" "/v1/trips/$trip/receipt" 'select(.due.amount == 0) | .trip_id'
}
