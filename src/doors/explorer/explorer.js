// Makes "Try it out" work at the first click: a token of the sandbox for whoever may do what is tried, a fresh
// Idempotency-Key, and, in the place of the document's example ids, the ids that were last seen.

const ROLES = ["rider", "driver", "gateway", "ops"];
const FRESH_KEY = "a-fresh-one-each-time";
const ID = /\b([a-z]+)_[0-7][0-9a-hjkmnp-tv-z]{25}\b/g;

const said = document.getElementById("said");
const tokens = new Map();
const lastSeen = new Map();
let chosen = "auto";

const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

// A token for a new somebody of this role; the same one for as long as the page is open.
async function token(role) {
  if (!tokens.has(role)) {
    const asked = fetch("/v1/sandbox/tokens", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ role }),
    }).then(async (answer) => (answer.ok ? (await answer.json()).token : Promise.reject(answer.status)));
    tokens.set(role, asked);
    asked.catch(() => tokens.delete(role));
  }
  return tokens.get(role);
}

// Required headers and ids are filled in; what is optional starts empty, an example version above all.
function prepare(document) {
  const schemas = document.components?.schemas ?? {};
  for (const schema of Object.values(schemas)) schema.example ??= standIn(schema);
  const shared = Object.values(document.components?.parameters ?? {});
  const own = operations(document).flatMap(({ operation }) => operation.parameters ?? []);
  for (const parameter of [...shared, ...own].filter((one) => one.in)) {
    const example = standIn(schemas[parameter.schema?.$ref?.split("/").pop()] ?? parameter.schema);
    if (parameter.required && !example && parameter.name !== "Idempotency-Key") continue;
    delete parameter.examples;
    delete parameter.example;
    if (parameter.required) {
      parameter.example = example ?? FRESH_KEY;
    } else if (parameter.schema?.$ref) {
      // Written out, because a type of its own has an example.
      parameter.schema = { type: "string", pattern: schemas[parameter.schema.$ref.split("/").pop()]?.pattern };
    } else if (parameter.schema) {
      delete parameter.schema.example;
    }
  }
  return document;
}

// What stands for an id until one of its kind was seen: trip_00000000000000000000000000.
function standIn(schema) {
  const prefix = /^\^([a-z]+)_\[0-7\]/.exec(schema?.pattern ?? "")?.[1];
  return prefix && `${prefix}_${"0".repeat(26)}`;
}

function operations(document) {
  return Object.entries(document.paths).flatMap(([path, item]) =>
    ["get", "put", "post", "delete"]
      .filter((method) => item[method])
      .map((method) => ({ path, method, operation: item[method] })),
  );
}

// Who may do this: the document has a security scheme for each role. What needs no token has none.
function finder(document) {
  const known = operations(document).map(({ path, method, operation }) => ({
    method,
    pattern: new RegExp(`^${path.replace(/[.*+?^$()|[\]\\]/g, "\\$&").replace(/\{[^}]+\}/g, "[^/]+")}$`),
    roles: (operation.security ?? document.security ?? []).flatMap(Object.keys),
  }));
  return (method, path) => {
    const found = known.find((one) => one.method === method.toLowerCase() && one.pattern.test(path));
    return found?.roles.find((role) => ROLES.includes(role));
  };
}

function remember(text) {
  const seen = new Set();
  for (const [id, prefix] of text.matchAll(ID)) {
    if (!seen.has(prefix)) lastSeen.set(prefix, id);
    seen.add(prefix);
  }
}

async function start() {
  const document_ = prepare(await (await fetch("/openapi.json")).json());
  const examples = new Set([...JSON.stringify(document_).matchAll(ID)].map(([id]) => id));
  const roleFor = finder(document_);
  const withSeen = (text, unseen) =>
    text.replace(ID, (id, prefix) => {
      if (!examples.has(id)) return id;
      if (!lastSeen.has(prefix)) unseen.push(prefix);
      return lastSeen.get(prefix) ?? id;
    });
  const isSandbox = await token("rider").then(() => true, () => false);
  if (isSandbox) showRoles();
  else said.textContent = "This is no sandbox: press Authorize and paste a token.";

  window.ui = SwaggerUIBundle({
    spec: document_,
    dom_id: "#explorer",
    deepLinking: true,
    filter: true,
    tryItOutEnabled: true,
    displayRequestDuration: true,
    persistAuthorization: true,
    requestSnippetsEnabled: true,
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    requestInterceptor: async (request) => {
      const address = new URL(request.url, location.href);
      if (address.origin !== location.origin) return request;
      const unseen = [];
      request.url = address.origin + withSeen(decodeURI(address.pathname), unseen) + withSeen(address.search, unseen);
      if (typeof request.body === "string") request.body = withSeen(request.body, unseen);
      if (request.headers["Idempotency-Key"] === FRESH_KEY) request.headers["Idempotency-Key"] = crypto.randomUUID();
      const role = chosen === "auto" ? roleFor(request.method, address.pathname) : chosen;
      if (isSandbox && role && !request.headers.Authorization) {
        request.headers.Authorization = `Bearer ${await token(role)}`;
      }
      const who = request.headers.Authorization && role ? `Sent as ${role}. ` : "";
      said.textContent = who + unseen.map((prefix) => `No ${prefix}_… was seen yet: the example is none.`).join(" ");
      return request;
    },
    responseInterceptor: (response) => {
      if (typeof response.text === "string") remember(response.text);
      return response;
    },
  });
}

function showRoles() {
  const fieldset = document.getElementById("roles");
  for (const role of ["auto", ...ROLES]) {
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "role", value: role });
    input.checked = role === chosen;
    input.addEventListener("change", () => {
      chosen = role;
    });
    label.append(input, ` ${role === "auto" ? "whoever may" : role}`);
    fieldset.append(label);
  }
  fieldset.hidden = false;
}

start().catch((error) => {
  said.textContent = `The document cannot be shown: ${error}`;
});
