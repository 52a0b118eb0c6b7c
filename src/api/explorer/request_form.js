// The form of an operation: its parameters, and its body as JSON, prefilled with an example.

import { el, folded, markdown } from "./elements.js";
import { schemaView } from "./schema_view.js";
import { KEY_HEADER } from "./request_sender.js";

const PLACES = [
  ["path", "In the path"],
  ["query", "In the query"],
  ["header", "Headers"],
];

/** Optional headers are needed rarely. */
const isFolded = (parameter) => parameter.in === "header" && !parameter.required;

/** Returns an input for a parameter: a list of values if the schema has one, otherwise a text. */
function input(sender, parameter, given) {
  const { schema, name, required, example, prefix } = parameter;
  const id = `parameter-${name}`;
  const isKey = name === KEY_HEADER;
  const values = schema.enum ?? schema.items?.enum ?? ([schema.type].flat().includes("boolean") ? ["true", "false"] : null);
  const start = given ?? (prefix ? sender.seen.get(prefix) : required && !isKey ? example : undefined) ?? "";
  const common = { id, name, required: required && !isKey, "aria-describedby": `${id}-text` };
  if (values) {
    const options = [required ? null : "", ...values].filter((value) => value !== null);
    const select = el("select", common, ...options.map((value) => el("option", { value }, value === "" ? "not sent" : String(value))));
    select.value = String(start);
    return select;
  }
  const hint = isKey ? "a new key for each request" : prefix ? `${prefix}_…, from a response` : (example ?? schema.default ?? "");
  return el("input", { ...common, value: start, placeholder: hint, autocomplete: "off", spellcheck: "false" });
}

function parameterView(api, sender, parameter, given) {
  const field = input(sender, parameter, given);
  const text = el("div", { class: "text", id: `${field.id}-text` }, ...markdown(parameter.description));
  const label = el("label", { for: field.id }, el("code", {}, parameter.name));
  if (parameter.required) label.append(" ", el("span", { class: "required" }, "required"));
  const values = schemaView(api, parameter.schema);
  const rules = parameter.schema.enum ? [folded("The values", () => [...markdown(parameter.schema.description), ...values])] : values;
  return el("div", { class: "field" }, label, field, text, ...rules);
}

function bodyView(api, sender, operation, given) {
  const { body } = operation;
  const known = given === undefined ? body.examples : [{ summary: "From the last response", value: given }, ...body.examples];
  const text = (value) => sender.example(operation, value);
  const area = el("textarea", {
    id: "body",
    spellcheck: "false",
    autocomplete: "off",
    "aria-describedby": "body-problem",
  });
  const problem = el("p", { id: "body-problem", class: "problem", role: "status" });
  const fit = () => area.setAttribute("rows", String(Math.min(24, Math.max(3, area.value.split("\n").length))));
  const check = () => {
    problem.textContent = syntaxProblem(area.value);
    fit();
  };
  const choose = (index) => {
    area.value = known[index] ? text(known[index].value) : "";
    check();
  };
  area.addEventListener("input", check);
  choose(0);
  const parts = [
    el(
      "label",
      { for: "body" },
      "Body ",
      el("span", { class: body.isRequired ? "required" : "muted small" }, body.isRequired ? "required" : "optional"),
    ),
  ];
  if (known.length > 1) {
    const options = known.map(({ summary }, index) => el("option", { value: index }, summary));
    const select = el("select", { "aria-label": "Example of the body" }, ...options);
    select.addEventListener("change", () => choose(Number(select.value)));
    parts.push(select);
  }
  const members = schemaView(api, body.schema);
  const schema = members.length > 0 && folded("Members of the body", () => members, { open: true });
  return {
    area,
    element: el("div", { class: "field body" }, ...parts, area, problem, schema),
  };
}

/** A malformed body can be sent: the service explains what is wrong. This only warns. */
function syntaxProblem(text) {
  if (text.trim() === "") return "";
  try {
    JSON.parse(text);
    return "";
  } catch (error) {
    return `Not JSON: ${error.message}`;
  }
}

/**
 * Returns the form of an operation: `{element, read, isValid}`. `given` has the values of parameters and the body that a
 * response gave.
 */
export function requestForm(api, sender, operation, given = {}) {
  const parts = [];
  const view = (parameter) => parameterView(api, sender, parameter, given.parameters?.[parameter.name]);
  for (const [place, title] of PLACES) {
    const fields = operation.parameters.filter((parameter) => parameter.in === place && !isFolded(parameter));
    if (fields.length > 0) parts.push(el("fieldset", {}, el("legend", {}, title), ...fields.map(view)));
  }
  const accepts = [...new Set(operation.accepts)];
  const accept = el("select", { id: "accept", name: "Accept" }, ...accepts.map((type) => el("option", { value: type }, type)));
  if (accepts.length > 1) parts.push(el("div", { class: "field" }, el("label", { for: "accept" }, el("code", {}, "Accept")), accept));
  const body = operation.body && bodyView(api, sender, operation, given.body ?? sender.bodies.get(operation.id));
  if (body) parts.push(body.element);
  const others = operation.parameters.filter(isFolded);
  if (others.length > 0) {
    const isGiven = others.some(({ name }) => given.parameters?.[name] !== undefined);
    const names = others.map(({ name }) => name).join(", ");
    // Built at once: the form reads every field.
    parts.push(el("details", { open: isGiven }, el("summary", {}, `Optional headers: ${names}`), ...others.map(view)));
  }
  const element = el("form", { id: "request-form", class: "request-form" }, ...parts);

  function read() {
    const values = { path: {}, query: {}, headers: {}, body: null, accept: accept.value || "application/json" };
    for (const parameter of operation.parameters) {
      const value = element.elements[parameter.name].value.trim();
      if (parameter.in === "path") values.path[parameter.name] = value;
      else if (parameter.name === KEY_HEADER || value !== "")
        values[parameter.in === "query" ? "query" : "headers"][parameter.name] = value;
    }
    if (body && body.area.value.trim() !== "") values.body = body.area.value;
    return values;
  }
  return { element, read, isValid: () => element.reportValidity() };
}
