// The only module that calls the service. Every call has a trace id of its own, can be shown as a curl line, and is emitted when it
// finishes: as `call`, or as `quiet-call` if the page polls.

import { emit } from "./bus.js";
import { renew, token } from "./session.js";

const KEYED = ["/v1/trips", "/v1/offers/", "/v1/payments/", "/v1/ops/"];
const RETRY_MS = [500, 1000, 2000, 4000];
const PATIENT_MS = [500, 1000, 2000, 4000, 8000];
let isUp = null;

/**
 * Makes a call. It never throws: without a response, the status is 0.
 *
 *   as        'rider' | 'driver' | 'ops' | 'gateway', or null for no token
 *   subject   the subject of the token; this browser's own if absent
 *   key       the Idempotency-Key; generated if the operation needs one and none is given, none if false
 *   quiet     emitted as `quiet-call`: for the page's own requests
 *   why       a title for the request log
 *   loseAnswer  whether the page drops the connection when the answer begins to arrive, as a phone without network
 */
export async function call(request) {
  const prepared = await prepare(request);
  let answer = await send(prepared, request);
  if (answer.status === 401 && request.as) {
    await renew(request.as, request.subject);
    answer = await send(await prepare({ ...request, key: prepared.key ?? false }), request);
  }
  connection(answer.status !== 0 || answer.wasDropped === true);
  emit(request.quiet ? "quiet-call" : "call", answer);
  return answer;
}

/** Whether a repetition of the call, under the same key, may get another answer: none, overload, a fault, or still in progress. */
const isUndecided = ({ status, body }) =>
  status === 0 || status === 408 || status === 429 || status >= 500 || body?.code === "request_in_progress";

/**
 * Makes a call, and repeats it with back-off until the service decides it. Each repetition has the same Idempotency-Key, so that the
 * command has one effect, also if its first answer was lost.
 *
 *   isWanted  returns false to give up: then the result is the last answer
 *   onWait    called with `{tries, key, wait_ms, answer}` before each wait
 */
export async function callUntilDecided(request, { isWanted = () => true, onWait = () => {} } = {}) {
  const isCommand = (request.method ?? "GET") === "POST" && KEYED.some((start) => request.path.startsWith(start));
  const key = request.key ?? (isCommand ? crypto.randomUUID() : undefined);
  for (let tries = 1; ; tries++) {
    const answer = await call({ ...request, key });
    if (!isUndecided(answer) || !isWanted()) return answer;
    const asked_ms = Number(answer.headers["retry-after"] ?? 0) * 1000;
    const wait_ms = Math.max(asked_ms, PATIENT_MS[Math.min(tries, PATIENT_MS.length) - 1] * (0.5 + Math.random() / 2));
    onWait({ tries, key, wait_ms, answer });
    await new Promise((resolve) => setTimeout(resolve, wait_ms));
    if (!isWanted()) return answer;
  }
}

class LostAnswer extends Error {}

async function prepare({ as, subject, method = "GET", path, body, key, headers = {} }) {
  const identity = as ? await token(as, subject) : null;
  const traceId = hex(16);
  const isKeyed = method === "POST" && KEYED.some((start) => path.startsWith(start));
  const sentKey = key === false ? null : (key ?? (isKeyed ? crypto.randomUUID() : null));
  const text = body === undefined ? null : typeof body === "string" ? body : JSON.stringify(body);
  const sent = {
    ...(identity && { Authorization: `Bearer ${identity.token}` }),
    ...(text !== null && { "Content-Type": "application/json" }),
    ...(sentKey && { "Idempotency-Key": sentKey }),
    traceparent: `00-${traceId}-${hex(8)}-01`,
    ...headers,
  };
  return { method, path, headers: sent, text, key: sentKey, traceId, as, subject: identity?.subject ?? null };
}

async function send(prepared, { why, body, loseAnswer = false }) {
  const { method, path, headers, text, traceId } = prepared;
  const began = performance.now();
  const request = { ...prepared, body, why, at: Date.now() };
  const details = {
    request,
    traceId,
    curl: curl(prepared),
    curlShort: curl(prepared, `$${(prepared.as ?? "").toUpperCase()}`),
  };
  try {
    const response = await fetch(path, { method, headers, body: text, cache: "no-store" });
    if (loseAnswer) {
      await response.body.cancel();
      throw new LostAnswer("the page dropped the connection");
    }
    const answered = await response.text();
    const ms = performance.now() - began;
    const trace = response.headers.get("trace-id") ?? traceId;
    const { status, ok } = response;
    return {
      ...details,
      status,
      ok,
      headers: Object.fromEntries(response.headers),
      body: parse(answered),
      text: answered,
      traceId: trace,
      ms,
    };
  } catch (error) {
    const ms = performance.now() - began;
    const wasDropped = error instanceof LostAnswer;
    return { ...details, status: 0, ok: false, headers: {}, body: null, text: String(error), ms, wasDropped };
  }
}

/**
 * Follows a stream of server-sent events and resumes it after a disconnect, until `onEvent(type, data)` returns false or the
 * service answers 204 (nothing more will come) or 404. Returns a function that stops it.
 */
export function stream({ as, subject, path, onEvent }) {
  const stopped = new AbortController();
  follow({ as, subject, path, onEvent, signal: stopped.signal });
  return () => stopped.abort();
}

async function follow({ as, subject, path, onEvent, signal }) {
  let last = null;
  for (let failures = 0; !signal.aborted;) {
    try {
      const { headers } = await prepare({ as, subject, path });
      const resume = last === null ? {} : { "Last-Event-ID": last };
      const response = await fetch(path, { headers: { ...headers, Accept: "text/event-stream", ...resume }, signal });
      if (response.status === 401) await renew(as, subject);
      else if (response.status === 204) return;
      else if (response.status >= 400 && response.status < 500 && response.status !== 429) return;
      else if (response.ok) {
        connection(true);
        for await (const frame of frames(response.body)) {
          failures = 0;
          last = frame.id ?? last;
          if (signal.aborted || onEvent(frame.event, parse(frame.data)) === false) return;
        }
      }
    } catch {
      if (signal.aborted) return;
      connection(false);
    }
    await pause(RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)], signal);
  }
}

async function* frames(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let buffer = ""; ;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (buffer + value).split("\n\n");
    buffer = parts.pop();
    for (const part of parts) {
      const frame = { event: "message", data: "", id: null };
      for (const line of part.split("\n")) {
        const [name, ...rest] = line.split(": ");
        if (name in frame) frame[name] = rest.join(": ");
      }
      if (frame.data) yield frame;
    }
  }
}

const pause = (ms, signal) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });

function connection(up) {
  if (up !== isUp) emit("connection", up ? "up" : "down");
  isUp = up;
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function hex(bytes) {
  return Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (byte) => byte.toString(16).padStart(2, "0")).join(
    "",
  );
}

/** Returns the call as a curl line, with a placeholder for the token if one is given. */
function curl({ method, path, headers, text }, tokenName) {
  const quote = (value) => `'${value.replaceAll("'", "'\\''")}'`;
  const parts = ["curl", "-i"];
  if (method !== "GET") parts.push("-X", method);
  parts.push(quote(location.origin + path));
  for (const [name, value] of Object.entries(headers)) {
    if (name === "traceparent") continue;
    const isToken = name === "Authorization" && tokenName;
    parts.push("-H", isToken ? `"Authorization: Bearer ${tokenName}"` : quote(`${name}: ${value}`));
  }
  if (text !== null) parts.push("-d", quote(text));
  return parts.join(" ");
}
