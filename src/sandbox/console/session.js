// Who the page is: a token for any role and any rider or driver, because this is the sandbox. Kept while the tab is open.

import { call } from "./api.js";

const KEY = "ridematch.tokens";
const pending = new Map();

const kept = () => JSON.parse(sessionStorage.getItem(KEY) ?? "{}");
const keep = (tokens) => sessionStorage.setItem(KEY, JSON.stringify(tokens));
const nameOf = (role, subject) => `${role} ${subject ?? "me"}`;

/** A token, `{token, subject}`. Without a subject it is this browser's own rider, driver or operator. */
export async function token(role, subject) {
  const name = nameOf(role, subject);
  const known = kept()[name];
  if (known) return known;
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
  const tokens = kept();
  tokens[name] = made;
  keep(tokens);
  return made;
}

/** Forgets a token that was refused; the next one is for the same subject. */
export function renew(role, subject) {
  const tokens = kept();
  const name = nameOf(role, subject);
  const known = tokens[name];
  delete tokens[name];
  keep(tokens);
  return issue(role, subject ?? known?.subject, name);
}

/** Forgets everybody: after a reset of the sandbox nobody exists any more. */
export const forget = () => sessionStorage.removeItem(KEY);

/** This browser's own rider's id. */
export const myRider = async () => (await token("rider"))?.subject ?? null;

/** This browser's own driver's id. */
export const myDriver = async () => (await token("driver"))?.subject ?? null;
