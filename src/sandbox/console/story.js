// What happened during an experiment, as the steps of a sequence diagram. Every step has a source: a call of this page, its SQL as
// the service recorded it, an event of a trip, or a call of the service to the payment provider.
//
//   step   {from, to, kind, label, text, at, sql, link}
//     from, to   names of lanes; the same lane twice is a note
//     kind       'ask', 'answer', 'lost' (the answer did not arrive), 'both' (asked and answered), 'note'
//     sql        recorded requests with their statements, or null
//     link       {kind, id} of the object that the step changed, or null

import { call } from "./api.js";
import { on } from "./bus.js";
import { short, words } from "./dom.js";

/** The most steps shown; a later one is counted only. */
const STEPS_MAX = 80;
/** Calls without a token that belong to experiments: they cause the failure. */
const BARE = ["/v1/sandbox/kill", "/v1/sandbox/provider/faults"];
const YOU = "you";

const FIXED = { you: "You", service: "Service", database: "Database", provider: "Provider" };
const ORDER = Object.keys(FIXED);

/** Records the calls of the actors that it knows, until `finish`. */
export class Story {
  #actors = new Map();
  #calls = [];
  #notes = [];
  #trips = new Map();
  #payments = new Set();
  #began = 0;
  #stop = on("call", (answer) => this.#record(answer));

  /** Adds a lane for the subject of a token. */
  actor(id, label) {
    this.#actors.set(id, label);
  }

  /** What came before is preparation, and is shown as one step. */
  begin() {
    this.#began = Date.now();
  }

  /** Adds what this page saw, at this time. */
  note(text, label = text) {
    this.#notes.push({ from: "service", to: "service", kind: "note", label, text, at: Date.now() });
  }

  /** Adds an event that the provider sent; `times` is how often it had sent it before. */
  webhook({ id, type }, times) {
    const again = times > 0 ? ", again" : "";
    const effect =
      times > 0
        ? "Its id is in provider_events already, so it changes no row."
        : "Its id is stored in provider_events. The event is a hint: the worker looks the payment up and uses nothing in it.";
    const text = `The provider sends ${type}, event …${id.slice(-4)}${again}. ${effect}`;
    this.#notes.push({ from: "provider", to: "service", kind: "ask", label: `${type}${again}`, text, at: Date.now() });
  }

  /** Adds the events of a trip. */
  trip(id, label) {
    if (id) this.#trips.set(id, label);
  }

  /** Adds the calls to the provider for a payment. */
  payment(id) {
    if (id) this.#payments.add(id);
  }

  /** Stops recording. */
  stop() {
    this.#stop();
  }

  /** Returns `{lanes, steps, leftOut}`. */
  async finish() {
    this.stop();
    const clock = await readClock();
    const found = await Promise.all([
      ...this.#calls.map((one) => this.#callSteps(one)),
      ...[...this.#trips].map(([id, label]) => tripSteps(id, label, clock)),
      ...[...this.#payments].map((id) => paymentSteps(id, clock)),
    ]);
    const all = [...found.flat(), ...this.#notes].map((step, index) => ({ sql: null, link: null, ...step, index }));
    all.sort((a, b) => a.at - b.at || a.index - b.index);
    const steps = [...this.#preparation(all), ...all.filter((step) => step.at >= this.#began)];
    const shown = steps.slice(0, STEPS_MAX);
    return { lanes: this.#lanes(shown), steps: shown, leftOut: steps.length - shown.length };
  }

  #record(answer) {
    const { subject, as, path } = answer.request;
    const isBare = as === null && BARE.some((start) => path.startsWith(start));
    if (!isBare && !this.#actors.has(subject)) return;
    // The service keeps the SQL of its last requests, and a kill discards them: it is read at once.
    this.#calls.push({ answer, sql: readSql(answer) });
  }

  async #callSteps({ answer, sql: reading }) {
    const { at, subject, method, path, why, key } = answer.request;
    const actor = this.#actors.has(subject) ? subject : YOU;
    const name = this.#actors.get(subject) ?? FIXED.you;
    const asked = `${method} ${path.replace(/[a-z]+_[0-9a-z]{26}/g, short)}`;
    const sql = await reading;
    const link = linkOf(answer);
    const under = key ? ` under the key …${key.slice(-4)}` : "";
    const steps = [
      { from: actor, to: "service", kind: "ask", label: key ? `${asked} · key …${key.slice(-4)}` : asked, at,
        text: `${name} sends ${asked}${under}${why ? `: ${why}` : ""}.`, link },
    ];
    const statements = sql?.flatMap((one) => one.statements) ?? [];
    if (statements.length > 0) {
      const [label, text] = sqlInWords(statements);
      steps.push({ from: "service", to: "database", kind: "both", label, text, at: at + answer.ms * 0.5, sql, link });
    }
    steps.push({ from: "service", to: actor, at: at + answer.ms, link, ...answered(answer, statements) });
    return steps;
  }

  /** Returns the preparation as one step. */
  #preparation(all) {
    const before = all.filter((step) => step.at < this.#began);
    const calls = before.filter((step) => step.kind === "ask");
    if (calls.length === 0) return [];
    const list = calls.map((step) => step.label.split(" · ")[0]).join(", ");
    const requests = plural(calls.length, "request");
    const text = `Before, ${requests} prepared it: ${list}.`;
    return [{ from: "service", to: "service", kind: "note", label: `before: ${requests}`, text, at: before[0].at, sql: null, link: null }];
  }

  #lanes(steps) {
    const used = new Set(steps.flatMap(({ from, to }) => [from, to]));
    const actors = [...this.#actors].filter(([id]) => used.has(id)).map(([id, label]) => ({ id, label }));
    const isRider = ({ label }) => label.startsWith("Rider");
    actors.sort((a, b) => isRider(b) - isRider(a));
    const [first, ...rest] = ORDER.filter((id) => used.has(id)).map((id) => ({ id, label: FIXED[id] }));
    return first?.id === YOU ? [first, ...actors, ...rest] : [...actors, first, ...rest].filter(Boolean);
  }
}

/** Waits for the record of a call: it is complete when the response was sent. */
async function readSql(answer) {
  const found = await call({ as: null, path: `/v1/sandbox/requests/${answer.traceId}`, quiet: true });
  return found.ok ? found.body.requests : null;
}

async function readClock() {
  const answer = await call({ as: null, path: "/v1/sandbox/clock", quiet: true });
  const { real, domain, scale } = answer.body ?? {};
  const ahead = real ? Date.parse(real) - Date.now() : 0;
  return {
    /** Machine time of the service as the time of this browser. */
    ofMachine: (stamp) => Date.parse(stamp) - ahead,
    /** The same for domain time, if the clock was not set meanwhile. */
    ofDomain: (stamp) => (domain ? Date.parse(real) - ahead - (Date.parse(domain) - Date.parse(stamp)) / scale : Date.parse(stamp)),
  };
}

const plural = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

function sqlInWords(statements) {
  const has = (word) => statements.some((one) => one.sql === word);
  const writes = statements.filter((one) => one.rows_affected > 0 && /^(insert|update|delete|with)/i.test(one.sql));
  const tables = [...new Set(writes.map((one) => /(?:into|update|from) ([a-z_]+)/i.exec(one.sql)?.[1]).filter(Boolean))];
  const end = has("COMMIT") ? "COMMIT" : has("ROLLBACK") ? "ROLLBACK" : "only reads";
  const wrote = tables.length > 0 ? `It writes ${tables.join(", ")}.` : "It writes nothing.";
  return [`${plural(statements.length, "statement")}, ${end}`, `The database: ${plural(statements.length, "statement")}, ${end}. ${wrote}`];
}

function answered(answer, statements) {
  if (answer.status === 0) {
    const isWritten = statements.some((one) => one.sql === "COMMIT");
    const known = isWritten ? "It was committed, and the client does not know it." : "The client cannot know whether it had an effect.";
    return { kind: "lost", label: "the answer is lost", text: `The answer is lost. ${known}` };
  }
  const replayed = answer.headers["idempotent-replayed"] === "true";
  const code = answer.body?.code ? `, ${words(answer.body.code)}` : "";
  const detail = answer.ok ? "" : ` ${answer.body?.detail ?? ""}`;
  const label = `${answer.status}${replayed ? ", replayed" : code}`;
  const state = typeof answer.body?.state === "string" ? ` It says ${words(answer.body.state)}.` : "";
  const stored = replayed ? ", the stored one (Idempotent-Replayed)" : code;
  return { kind: "answer", label, text: `The answer is ${answer.status}${stored}.${state}${detail}` };
}

function linkOf({ body, request }) {
  const id = /trip_[0-9a-z]{26}/.exec(request.path)?.[0] ?? (request.path === "/v1/trips" && request.method === "POST" ? body?.id : null);
  return id ? { kind: "trip", id } : null;
}

/** The transitions that no request of an actor made. */
async function tripSteps(id, label, clock) {
  const answer = await call({ as: "ops", path: `/v1/trips/${id}/events`, headers: { Accept: "application/json" }, quiet: true });
  const events = answer.ok ? answer.body.items.filter((event) => event.actor === "system") : [];
  return events.map((event) => ({
    from: "service", to: "service", kind: "note", at: clock.ofDomain(event.at), link: { kind: "trip", id },
    label: `${label}: ${words(event.to)}`,
    text: `${label} goes from ${words(event.from)} to ${words(event.to)} (${words(event.data?.command)}).`,
  }));
}

async function paymentSteps(id, clock) {
  const answer = await call({ as: null, path: `/v1/sandbox/provider/payment_intents/${id}`, quiet: true });
  const attempts = (answer.ok && answer.body.attempts) || [];
  return attempts.flatMap((attempt) => attemptSteps(attempt, { kind: "payment", id }, clock));
}

/** A call to the provider. One with an unknown outcome has a lost answer, and later the time at which its result became known. */
function attemptSteps(attempt, link, clock) {
  const { operation, provider_key, outcome, answered, detail, started_at, finished_at, resolved_at } = attempt;
  const key = `…${provider_key.slice(-4)}`;
  const at = clock.ofMachine(started_at);
  const sent = `The worker commits the attempt, then calls the provider: ${operation}, key ${key}.`;
  if (outcome !== "unknown") {
    const label = `${operation} · key ${key}: ${words(outcome)}`;
    return [{ from: "service", to: "provider", kind: "both", label, at, link, text: `${sent} ${outcome === "started" ? "It still runs." : `It ${words(outcome)}.`}` }];
  }
  const why = detail ? ` (${detail})` : "";
  const end = answered ? "The answer settles nothing" : "The answer is lost";
  const steps = [
    { from: "service", to: "provider", kind: "ask", label: `${operation} · key ${key}`, text: sent, at, link },
    { from: "provider", to: "service", kind: answered ? "answer" : "lost", label: end.toLowerCase(), at: clock.ofMachine(finished_at), link,
      text: `${end}${why}: the attempt is recorded as unknown, neither a success nor a failure.` },
  ];
  if (resolved_at) {
    steps.push({ from: "service", to: "provider", kind: "both", label: `look-up: what became of ${key}?`, at: clock.ofMachine(resolved_at), link,
      text: `The worker looks the payment up at the provider instead of calling again, and learns what became of the ${operation}.` });
  }
  return steps;
}
