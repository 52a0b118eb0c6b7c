// Tokens: the sandbox issues one for any role and subject. This browser's own tokens are kept while the tab is open; of the others,
// made by experiments, the most recent few.

import { call } from "./api.js";

const KEY = "ridematch.tokens";
const OTHERS_MAX = 200;
const pending = new Map();
const others = new Map();

const kept = () => JSON.parse(sessionStorage.getItem(KEY) ?? "{}");

/** Stores a token, or removes it if there is none. */
function keep(name, made) {
  if (!isMine(name)) {
    others.delete(name);
    if (made) others.set(name, made);
    if (others.size > OTHERS_MAX) others.delete(others.keys().next().value);
    return;
  }
  const tokens = kept();
  if (made) tokens[name] = made;
  else delete tokens[name];
  try {
    sessionStorage.setItem(KEY, JSON.stringify(tokens));
  } catch {
    // Storage is full or blocked: the token is requested again.
  }
}
const nameOf = (role, subject) => `${role} ${subject ?? "me"}`;
const isMine = (name) => name.endsWith(" me");
const known = (name) => (isMine(name) ? kept()[name] : others.get(name));

/** A token, `{token, subject}`. Without a subject it is this browser's own rider, driver or operator. */
export async function token(role, subject) {
  const name = nameOf(role, subject);
  const there = known(name);
  if (there) return there;
  if (!pending.has(name)) {
    pending.set(
      name,
      issue(role, subject, name).finally(() => pending.delete(name)),
    );
  }
  return pending.get(name);
}

async function issue(role, subject, name) {
  const body = subject ? { role, subject } : { role };
  const answer = await call({ as: null, method: "POST", path: "/v1/sandbox/tokens", body, quiet: true });
  if (!answer.ok) return null;
  const made = { token: answer.body.token, subject: answer.body.subject };
  keep(name, made);
  return made;
}

/** Removes a token that was refused; the next one is for the same subject. */
export function renew(role, subject) {
  const name = nameOf(role, subject);
  const refused = known(name);
  keep(name, null);
  return issue(role, subject ?? refused?.subject, name);
}

/** Removes all tokens: after a reset their subjects do not exist. */
export function forget() {
  others.clear();
  sessionStorage.removeItem(KEY);
}

/** This browser's own rider's id. */
export const myRider = async () => (await token("rider"))?.subject ?? null;

/** This browser's own driver's id. */
export const myDriver = async () => (await token("driver"))?.subject ?? null;
