// Makes "Try it out" work at the first click: a token of a permitted role, a new Idempotency-Key, and the ids from
// earlier responses in place of the document's example ids.

const ROLES = ["rider", "driver", "gateway", "ops"];
const FRESH_KEY = "a-new-key-for-each-request";
const ID = /\b([a-z]+)_[0-7][0-9a-hjkmnp-tv-z]{25}\b/g;

const statusLine = document.getElementById("status");
const tokens = new Map();
const lastSeen = new Map();
let chosen = "auto";
let tokenPath;

const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

// A token of this role, the same one while the page is open. Fails if the service issues no tokens.
async function token(role) {
  if (!tokenPath) throw new Error("no operation issues tokens");
  if (!tokens.has(role)) {
    const request = fetch(tokenPath, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ role }),
    }).then(async (response) => (response.ok ? (await response.json()).token : Promise.reject(response.status)));
    tokens.set(role, request);
    request.catch(() => tokens.delete(role));
  }
  return tokens.get(role);
}

// Fills in required headers and ids. Optional parameters start empty: an example of If-Match would fail.
function prepare(document) {
  const schemas = document.components?.schemas ?? {};
  for (const schema of Object.values(schemas)) schema.example ??= placeholder(schema);
  const shared = Object.values(document.components?.parameters ?? {});
  const own = operations(document).flatMap(({ operation }) => operation.parameters ?? []);
  for (const parameter of [...shared, ...own].filter((one) => one.in)) {
    const example = placeholder(schemas[parameter.schema?.$ref?.split("/").pop()] ?? parameter.schema);
    if (parameter.required && !example && parameter.name !== "Idempotency-Key") continue;
    delete parameter.examples;
    delete parameter.example;
    if (parameter.required) {
      parameter.example = example ?? FRESH_KEY;
    } else if (parameter.schema?.$ref) {
      // Inlined, because the referenced schema has an example.
      parameter.schema = { type: "string", pattern: schemas[parameter.schema.$ref.split("/").pop()]?.pattern };
    } else if (parameter.schema) {
      delete parameter.schema.example;
    }
  }
  return document;
}

// The placeholder of an id until a response contained one with its prefix: trip_00000000000000000000000000.
function placeholder(schema) {
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

// Returns a function that finds a permitted role: the document has one security scheme per role.
function roleFinder(document) {
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
  const roleFor = roleFinder(document_);
  const withSeen = (text, unseen) =>
    text.replace(ID, (id, prefix) => {
      if (!examples.has(id)) return id;
      if (!lastSeen.has(prefix)) unseen.push(prefix);
      return lastSeen.get(prefix) ?? id;
    });
  tokenPath = operations(document_).find(({ operation }) => operation.operationId === "create_token")?.path;
  const hasTokens = await token("rider").then(() => true, () => false);
  if (hasTokens) showRoles();
  else statusLine.textContent = "This service issues no tokens: press Authorize and paste one.";

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
      if (hasTokens && role && !request.headers.Authorization) {
        request.headers.Authorization = `Bearer ${await token(role)}`;
      }
      const sender = request.headers.Authorization && role ? `Sent as ${role}. ` : "";
      const missing = unseen.map((prefix) => `No response has contained a ${prefix}_… yet: sent the example id.`);
      statusLine.textContent = sender + missing.join(" ");
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
    label.append(input, ` ${role === "auto" ? "any permitted role" : role}`);
    fieldset.append(label);
  }
  fieldset.hidden = false;
}

start().catch((error) => {
  statusLine.textContent = `Cannot show the document: ${error}`;
});
