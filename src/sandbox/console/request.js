// The request panel: the SQL of the requests of one trace.

import { call } from "./api.js";
import { h } from "./dom.js";
import { statements } from "./log.js";
import { apology, head } from "./panel.js";

/** Shows the requests of a trace; returns a function that stops it. */
export function inspectRequest(element, id) {
  const about = h("div", {}, h("p.muted", {}, "…"));
  element.append(head("request", id, null), about);
  (async () => {
    const answer = await call({ as: null, path: `/v1/sandbox/requests/${id}`, quiet: true });
    if (!answer.ok) return about.replaceChildren(apology(answer, "Not recorded: the service keeps its last 1,000 requests."));
    about.replaceChildren(
      ...answer.body.requests.flatMap((request) => [
        h("h3.apart.mono", {}, `${request.method} ${request.path}`),
        statements(request),
      ]),
    );
  })();
  return () => {};
}
