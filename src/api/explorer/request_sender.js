// Sends requests: with a token of a permitted role, a new Idempotency-Key, and the latest ids and the present time in place of those of the
// document's examples.

import { ID } from "./openapi_document.js";

const STORE = "explorer";
const BODY_CHARACTERS_MAX = 300_000;
const HOUR_MS = 3_600_000;
/** A member of a JSON object that is a time. */
const TIME = /"(\w+)":(\s*)"(\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d))"/g;
/** The names of times that lie ahead; all others are of something that has happened. */
const AHEAD = /expire|until|end|due|deadline|valid/;

export const KEY_HEADER = "Idempotency-Key";

export class RequestSender {
  #api;
  /** The clock at its last reading. */
  #clock = { at: performance.now(), now: Date.now(), scale: 1 };
  /** The times that this page has written into examples. */
  #ownTimes = new Set();
  /** The token of each role, as far as one exists. */
  tokens;
  /** The latest id with each prefix. */
  seen;
  /** The bodies that responses gave for other operations, by the operation's id. */
  bodies = new Map();

  constructor(api) {
    this.#api = api;
    this.tokenOperation = api.byId.get("create_token");
    const kept = JSON.parse(sessionStorage.getItem(STORE) ?? "{}");
    this.seen = new Map(Object.entries(kept.ids ?? {}));
    this.tokens = new Map(Object.entries(kept.tokens ?? {}));
  }

  /** Replaces the document's example ids in a text by the latest ids with their prefixes. */
  current(text) {
    return text.replace(ID, (id, prefix) => (this.#api.exampleIds.has(id) ? (this.seen.get(prefix) ?? id) : id));
  }

  /** The prefixes of the example ids that a text still has. */
  unseen(text) {
    return [...new Set([...text.matchAll(ID)].filter(([id]) => this.#api.exampleIds.has(id)).map(([, prefix]) => prefix))];
  }

  /** Uses a pasted token for all requests. */
  paste(token) {
    this.tokens.clear();
    for (const role of this.#api.roles) if (token) this.tokens.set(role, token);
    this.#keep();
  }

  /** Returns a token of a role, the same one for the browser tab. Null if the service issues none. */
  async token(role) {
    if (this.tokens.has(role)) return this.tokens.get(role);
    if (!this.tokenOperation) return null;
    const response = await fetch(this.tokenOperation.path, {
      method: this.tokenOperation.method,
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ role }),
    });
    if (!response.ok) throw new Error(`no token: ${response.status}`);
    this.tokens.set(role, (await response.json()).token);
    this.#keep();
    return this.tokens.get(role);
  }

  /** Reads the clock that times are compared with: the service's domain time where the document has it, otherwise the browser's. */
  async readClock() {
    const clock = this.#api.byId.get("get_clock");
    const response = clock && (await fetch(clock.path).catch(() => null));
    const { domain, scale } = response?.ok ? await response.json() : { domain: new Date().toISOString(), scale: 1 };
    this.#clock = { at: performance.now(), now: Date.parse(domain), scale };
  }

  /**
   * Replaces the times of an operation's examples in a text: by the present, or by an hour from now if the name says that it lies ahead. A
   * time that a person has written stays.
   */
  #withTimes(operation, text) {
    const examples = JSON.stringify(operation.body.examples.map(({ value }) => value));
    const now = this.#clock.now + (performance.now() - this.#clock.at) * this.#clock.scale;
    return text.replace(TIME, (all, name, space, time) => {
      if (!examples.includes(time) && !this.#ownTimes.has(time)) return all;
      const fresh = new Date(AHEAD.test(name) ? now + HOUR_MS : now).toISOString();
      this.#ownTimes.add(fresh);
      return `"${name}":${space}"${fresh}"`;
    });
  }

  /** Returns the body of an example as text, as it can be sent now. */
  example(operation, value) {
    return this.#withTimes(operation, this.current(JSON.stringify(value, null, 2)));
  }

  /** Completes a request of the form: `{method, address, headers, body, role}`. */
  async complete(operation, { path, query, headers, body, accept }, role) {
    const address = operation.path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(this.current(path[name])));
    const search = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, this.current(value)])).toString();
    const all = { Accept: accept, ...headers };
    if (body !== null) all["Content-Type"] = operation.body.type;
    if (all[KEY_HEADER] === "") all[KEY_HEADER] = crypto.randomUUID();
    const token = role && (await this.token(role));
    if (body !== null && body.search(TIME) >= 0) await this.readClock();
    if (token) all.Authorization = `Bearer ${token}`;
    return {
      method: operation.method,
      address: search ? `${address}?${search}` : address,
      path,
      headers: all,
      body: body === null ? null : this.#withTimes(operation, this.current(body)),
      role: token ? role : null,
    };
  }

  /** Sends a completed request. `progress` gets the text so far, for streams. Returns `{request, status, headers, text, ms}`. */
  async send(request, signal, progress) {
    const began = performance.now();
    const { method, headers, body } = request;
    const response = await fetch(request.address, { method, headers, body, signal, cache: "no-store" });
    const exchange = {
      request,
      status: response.status,
      statusText: response.statusText,
      headers: response.headers,
      text: "",
    };
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    try {
      for (let part = await reader?.read(); part && !part.done; part = await reader.read()) {
        exchange.text += part.value;
        exchange.isCut = exchange.text.length > BODY_CHARACTERS_MAX;
        if (exchange.isCut) {
          exchange.text = exchange.text.slice(0, BODY_CHARACTERS_MAX);
          await reader.cancel();
          break;
        }
        progress({ ...exchange, ms: performance.now() - began });
      }
    } catch (error) {
      // A stream that the user stops has no other end.
      if (error.name !== "AbortError") throw error;
      exchange.isStopped = true;
    }
    this.#remember(exchange.text);
    return { ...exchange, ms: performance.now() - began };
  }

  #remember(text) {
    const seen = new Set();
    for (const [id, prefix] of text.matchAll(ID)) {
      if (!seen.has(prefix)) this.seen.set(prefix, id);
      seen.add(prefix);
    }
    this.#keep();
  }

  #keep() {
    const kept = { ids: Object.fromEntries(this.seen), tokens: Object.fromEntries(this.tokens) };
    sessionStorage.setItem(STORE, JSON.stringify(kept));
  }
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** Returns a request as a curl command. The token is a variable, named after the role. */
export function curl({ method, address, headers, body, role }) {
  const parts = [`curl ${method === "GET" ? "" : `-X ${method} `}${quoted(location.origin + address)}`];
  for (const [name, value] of Object.entries(headers)) {
    const isToken = name === "Authorization";
    const isFresh = name === KEY_HEADER && value === "";
    const variable = isToken ? `Bearer $${role.toUpperCase()}` : "$(uuidgen)";
    parts.push(`-H ${isToken || isFresh ? `"${name}: ${variable}"` : quoted(`${name}: ${value}`)}`);
  }
  if (body !== null) parts.push(`-d ${quoted(body)}`);
  return parts.join(" \\\n  ");
}
