// Requests to the service, and the line at the end of the page. Both pages of a rehearsal use it.

const API = "/rehearse/api";
const AGAIN_MS = 1000;

const main = document.getElementById("rehearsal");
const status = document.getElementById("rehearsal-status");

/** Shows a line at the end of the page; an empty one hides it. */
export const say = (text) => (status.textContent = text);

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Sends a request and returns the body. A refusal is an error with the service's detail, its status and the first invalid field. */
export async function call(path, body) {
  const options = body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const response = await fetch(API + path, { ...options, headers: { Accept: "application/json", ...options.headers } });
  const answer = await response.json();
  if (response.ok) return answer;
  throw Object.assign(new Error(answer.detail ?? answer.title), { status: response.status, field: answer.errors?.[0]?.pointer });
}

/** Whether the service may answer the same request later: it does not answer, or is not able to. */
export const isOutage = (error) => !error.status || error.status >= 500;

/** Says whether the service answers. */
export function connected(error, text) {
  if (!error && main.dataset.connection === "lost") say("");
  main.dataset.connection = error ? "lost" : "ok";
  if (error) say(error.status ? error.message : text);
}

/** A request that is sent again until the service answers: it may be restarting. */
export async function insist(path, body) {
  for (;;) {
    try {
      const answer = await call(path, body);
      connected();
      return answer;
    } catch (error) {
      if (!isOutage(error)) throw error;
      connected(error, "The service does not answer. What you type is kept on this page and sent when it is back.");
      await pause(AGAIN_MS);
    }
  }
}
