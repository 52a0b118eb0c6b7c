// A car that this browser drives: it sends its position and moves along the streets toward the pickup or dropoff.

import { call } from "./api.js";
import { domainNow, forgetClock, scale } from "./domain.js";
import { riderInCar } from "./states.js";

const METERS_PER_DEGREE = 111_195;
/** Domain meters per second. */
const SPEED_MPS = 11;
/** A driver whose position is older than 30 s of domain time gets no offers: a fast clock needs frequent positions. */
const BEAT_MS_MAX = 2000;
const BEAT_MS_MIN = 250;
const BEAT_DOMAIN_MS = 8000;
/** Near enough to arrive, meters. */
const THERE_M = 20;

/** Returns approximate meters between two places of one city. */
export function metersBetween(a, b) {
  const north = (b.lat - a.lat) * METERS_PER_DEGREE;
  const east = (b.lon - a.lon) * METERS_PER_DEGREE * Math.cos((a.lat * Math.PI) / 180);
  return Math.hypot(north, east);
}

/** A car and its driver. */
export class Car {
  /** `onProfile(profile, car)` is called with each reading of the driver's profile; `isOwn`: of this browser's own driver. */
  constructor({ subject, place, isOwn = false, onProfile = () => {} }) {
    this.subject = subject;
    this.place = place;
    this.isOwn = isOwn;
    this.onProfile = onProfile;
    this.target = null;
    this.way = null; // the places still before the car on its way to `target`
    this.isAlone = false;
    this.trip = null;
  }

  /** Goes online, with a name and a car if it is new. */
  async goOnline(isNew) {
    const car = isNew ? { name: "You", class: "standard", plate: "YOU 1" } : {};
    await this.put("/v1/drivers/me/availability", { available: true, ...car }, "Go online");
    this.movedAt = await domainNow();
    this.isStopped = false;
    this.beat();
  }

  /** Stops driving, and goes offline if asked. */
  async goOffline(alsoAvailability) {
    this.stop();
    if (alsoAvailability) await this.put("/v1/drivers/me/availability", { available: false }, "Go offline");
  }

  stop() {
    this.isStopped = true;
    clearTimeout(this.timer);
  }

  /** Takes the driver's profile and sets the target; in automatic mode, executes the next command as well. */
  async see(profile) {
    this.trip = profile.trip;
    const target = !this.trip ? null : riderInCar(this.trip.state) ? this.trip.dropoff : this.trip.pickup;
    if (target?.lat !== this.target?.lat || target?.lon !== this.target?.lon) this.way = null;
    this.target = target;
    if (this.isAlone) await this.step(profile);
  }

  async step(profile) {
    const isThere = this.target && metersBetween(this.place, this.target) < THERE_M;
    if (profile.offer) await this.post(`/v1/offers/${profile.offer.id}/accept`, "Accept the offer");
    else if (this.trip?.state === "assigned" && isThere)
      await this.post(`/v1/trips/${this.trip.id}/arrive`, "Arrive at the pickup");
    else if (this.trip?.state === "arrived") await this.start();
    else if (this.trip?.state === "in_progress" && isThere)
      await this.post(`/v1/trips/${this.trip.id}/complete`, "Complete the trip");
  }

  async start() {
    const pin = await pinOf(this.trip.id);
    if (pin) await this.post(`/v1/trips/${this.trip.id}/start`, "Start the trip", { pin });
  }

  async beat() {
    if (this.isStopped) return;
    if (this.target && !this.way) this.way = await wayAlongStreets(this.place, this.target);
    if (this.isStopped) return;
    const now = await domainNow();
    this.move((now - this.movedAt) / 1000);
    this.movedAt = now;
    const body = { position: this.place, recorded_at: new Date(now).toISOString() };
    const mine = { as: "driver", subject: this.subject, quiet: true };
    const sent = await call({ ...mine, method: "PUT", path: "/v1/drivers/me/location", body });
    if (sent.ok && sent.body.verdict !== "accepted") forgetClock();
    const profile = await call({ ...mine, path: "/v1/drivers/me" });
    if (this.isStopped) return;
    if (profile.ok) {
      this.onProfile(profile.body, this);
      await this.see(profile.body);
    }
    const pause = Math.min(BEAT_MS_MAX, Math.max(BEAT_MS_MIN, BEAT_DOMAIN_MS / scale()));
    this.timer = setTimeout(() => this.beat(), this.target ? Math.min(pause, 1000) : pause);
  }

  /** Moves along the way, from one place of it to the next. */
  move(elapsedS) {
    let left_m = SPEED_MPS * elapsedS;
    while (this.way?.length > 0 && left_m > 0) {
      const [next] = this.way;
      const away_m = metersBetween(this.place, next);
      if (away_m > left_m) {
        const share = left_m / away_m;
        this.place = {
          lat: this.place.lat + (next.lat - this.place.lat) * share,
          lon: this.place.lon + (next.lon - this.place.lon) * share,
        };
        return;
      }
      left_m -= away_m;
      this.place = next;
      this.way.shift();
    }
  }

  put(path, body, why) {
    return call({ as: "driver", subject: this.subject, method: "PUT", path, body, why });
  }

  post(path, why, body) {
    return call({ as: "driver", subject: this.subject, method: "POST", path, body, why });
  }
}

/** Returns the places of the fastest drive, the same that quotes and ETAs are computed from. Without an answer it is straight, for now. */
async function wayAlongStreets(from, to) {
  const path = `/v1/sandbox/route?from_lat=${from.lat}&from_lon=${from.lon}&to_lat=${to.lat}&to_lon=${to.lon}`;
  const answer = await call({ as: null, path, quiet: true });
  return answer.ok ? answer.body.coordinates.slice(1).map(([lon, lat]) => ({ lat, lon })) : [to];
}

/** Returns the rider's PIN. In the sandbox a token for the rider is available. */
export async function pinOf(tripId) {
  const trip = await call({ as: "ops", path: `/v1/trips/${tripId}`, quiet: true });
  const seen =
    trip.ok && (await call({ as: "rider", subject: trip.body.rider_id, path: `/v1/trips/${tripId}`, quiet: true }));
  return seen?.body?.pin ?? null;
}
