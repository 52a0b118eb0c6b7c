// A car that this browser drives: it sends its position, and moves along a line to where its trip wants it.

import { call } from "./api.js";
import { domainNow, forgetClock, scale } from "./domain.js";

const METRES_PER_DEGREE = 111_195;
/** Domain metres per second: a city's pace. */
const SPEED_MPS = 11;
/** Positions older than 30 s of domain time are not offered rides: fast clocks need frequent positions. */
const BEAT_MS_MAX = 2000;
const BEAT_MS_MIN = 250;
const BEAT_DOMAIN_MS = 8000;
/** Near enough to arrive, and to let out. */
const THERE_M = 20;

/** Metres between two places, as the crow flies; good enough within a city. */
export function metresBetween(a, b) {
  const north = (b.lat - a.lat) * METRES_PER_DEGREE;
  const east = (b.lon - a.lon) * METRES_PER_DEGREE * Math.cos((a.lat * Math.PI) / 180);
  return Math.hypot(north, east);
}

/** A car and who drives it. */
export class Car {
  constructor({ subject, place }) {
    this.subject = subject;
    this.place = place;
    this.target = null;
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

  /** Leaves the wheel; and goes offline, unless somebody else drives on. */
  async goOffline(alsoAvailability) {
    this.stop();
    if (alsoAvailability) await this.put("/v1/drivers/me/availability", { available: false }, "Go offline");
  }

  stop() {
    this.isStopped = true;
    clearTimeout(this.timer);
  }

  /** Hears what the service says of its driver, and sets the target; alone, it takes the next step as well. */
  async see(profile) {
    this.trip = profile.trip;
    this.target = !this.trip ? null : this.trip.state === "in_progress" ? this.trip.dropoff : this.trip.pickup;
    if (this.isAlone) await this.step(profile);
  }

  async step(profile) {
    const isThere = this.target && metresBetween(this.place, this.target) < THERE_M;
    if (profile.offer) await this.post(`/v1/offers/${profile.offer.id}/accept`, "Accept the offer");
    else if (this.trip?.state === "assigned" && isThere)
      await this.post(`/v1/trips/${this.trip.id}/arrive`, "Be at the pickup");
    else if (this.trip?.state === "arrived") await this.start();
    else if (this.trip?.state === "in_progress" && isThere)
      await this.post(`/v1/trips/${this.trip.id}/complete`, "End the ride");
  }

  async start() {
    const pin = await pinOf(this.trip.id);
    if (pin) await this.post(`/v1/trips/${this.trip.id}/start`, "Start the ride", { pin });
  }

  async beat() {
    if (this.isStopped) return;
    const now = await domainNow();
    this.move((now - this.movedAt) / 1000);
    this.movedAt = now;
    const body = { position: this.place, recorded_at: new Date(now).toISOString() };
    const mine = { as: "driver", subject: this.subject, quiet: true };
    const sent = await call({ ...mine, method: "PUT", path: "/v1/drivers/me/location", body });
    if (sent.ok && sent.body.verdict !== "accepted") forgetClock();
    const profile = await call({ ...mine, path: "/v1/drivers/me" });
    if (profile.ok) await this.see(profile.body);
    const pause = Math.min(BEAT_MS_MAX, Math.max(BEAT_MS_MIN, BEAT_DOMAIN_MS / scale()));
    this.timer = setTimeout(() => this.beat(), this.target ? Math.min(pause, 1000) : pause);
  }

  move(elapsedS) {
    if (!this.target) return;
    const away = metresBetween(this.place, this.target);
    const share = away < 1 ? 1 : Math.min(1, (SPEED_MPS * elapsedS) / away);
    this.place = {
      lat: this.place.lat + (this.target.lat - this.place.lat) * share,
      lon: this.place.lon + (this.target.lon - this.place.lon) * share,
    };
  }

  put(path, body, why) {
    return call({ as: "driver", subject: this.subject, method: "PUT", path, body, why });
  }

  post(path, why, body) {
    return call({ as: "driver", subject: this.subject, method: "POST", path, body, why });
  }
}

/** What the rider would say. In the sandbox anybody can be asked. */
export async function pinOf(tripId) {
  const trip = await call({ as: "ops", path: `/v1/trips/${tripId}`, quiet: true });
  const seen =
    trip.ok && (await call({ as: "rider", subject: trip.body.rider_id, path: `/v1/trips/${tripId}`, quiet: true }));
  return seen?.body?.pin ?? null;
}
