// Shows a schema as a list of members: type, limits, values, text; members of members fold.

import { el, folded, markdown } from "./elements.js";

const LIMITS = [
  ["minimum", "at least"],
  ["maximum", "at most"],
  ["minLength", "at least", "characters"],
  ["maxLength", "at most", "characters"],
  ["minItems", "at least", "items"],
  ["maxItems", "at most", "items"],
  ["pattern", "matches"],
  ["default", "default"],
];

/** Returns a schema with its parts merged and `null` set apart: `{schema, isNullable, variants}`. */
function normal(api, node) {
  let schema = api.resolve(node);
  if (schema.allOf) {
    const parts = schema.allOf.map((part) => normal(api, part).schema);
    const required = [schema, ...parts].flatMap((part) => part.required ?? []);
    const properties = Object.assign({}, ...parts.map((part) => part.properties), schema.properties);
    schema = { ...Object.assign({}, ...parts), ...schema, properties, required, allOf: undefined };
  }
  const options = schema.oneOf ?? schema.anyOf ?? [];
  const variants = options.filter((option) => option.type !== "null");
  const isNullable = variants.length < options.length || [schema.type].flat().includes("null");
  if (variants.length !== 1) return { schema, isNullable, variants };
  const only = normal(api, variants[0]);
  return {
    schema: { ...only.schema, ...(schema.description && { description: schema.description }) },
    isNullable,
    variants: only.variants,
  };
}

/** Returns the type in words: "array of string, or null". */
function typeName(api, node) {
  const { schema, isNullable, variants } = normal(api, node);
  const types = [schema.type ?? []].flat().filter((type) => type !== "null");
  let name = types.join(" or ") || (variants.length > 1 ? "one of several" : schema.properties ? "object" : "any value");
  if (types.includes("array") && schema.items) name = `array of ${typeName(api, schema.items)}`;
  if (schema.format) name += ` (${schema.format})`;
  return isNullable ? `${name}, or null` : name;
}

function limits(schema) {
  return LIMITS.filter(([key]) => schema[key] !== undefined).map(([key, word, unit]) => {
    const value = typeof schema[key] === "object" ? JSON.stringify(schema[key]) : String(schema[key]);
    return el("li", {}, `${word} `, el("code", {}, value), unit ? ` ${unit}` : "");
  });
}

/** Returns the elements that describe a schema, without its name. */
export function schemaView(api, node, path = []) {
  const { schema, variants } = normal(api, node);
  const parts = [];
  if (schema.enum) {
    parts.push(el("p", { class: "values" }, "One of ", ...schema.enum.flatMap((value) => [el("code", {}, JSON.stringify(value)), " "])));
  }
  const own = limits(schema);
  if (own.length > 0) parts.push(el("ul", { class: "limits" }, ...own));
  if (schema.name && path.includes(schema.name)) return [...parts, el("p", { class: "muted" }, `Again a ${schema.name}.`)];
  const inner = schema.name ? [...path, schema.name] : path;
  if (variants.length > 1) {
    const items = variants.map((variant) => {
      const { name, title } = api.resolve(variant);
      const isPlain = !name && !title;
      return el("li", {}, el("strong", {}, isPlain ? typeName(api, variant) : (title ?? name)), ...schemaView(api, variant, inner));
    });
    parts.push(el("p", {}, "One of:"), el("ul", {}, ...items));
  }
  const members = Object.entries(schema.properties ?? {});
  if (members.length > 0) {
    parts.push(el("ul", { class: "members" }, ...members.map(([name, member]) => memberView(api, name, member, schema, inner))));
  }
  if (schema.items) parts.push(...nested(api, "Items", schema.items, inner));
  if (schema.prefixItems) parts.push(...schema.prefixItems.flatMap((item, index) => nested(api, `Item ${index + 1}`, item, inner)));
  if (typeof schema.additionalProperties === "object") parts.push(...nested(api, "Other members", schema.additionalProperties, inner));
  return parts;
}

function nested(api, label, node, path) {
  const { description } = normal(api, node).schema;
  const content = () => [...markdown(description), ...schemaView(api, node, path)];
  return content().length > 0 ? [folded(`${label}: ${typeName(api, node)}`, content)] : [];
}

function memberView(api, name, member, parent, path) {
  const { schema, variants } = normal(api, member);
  const isRequired = parent.required?.includes(name);
  const head = el("p", {}, el("code", { class: "name" }, name), " ", el("span", { class: "muted small" }, typeName(api, member)));
  if (isRequired) head.append(" ", el("span", { class: "required" }, "required"));
  const isDeep = Boolean(schema.properties || schema.items || schema.prefixItems || variants.length > 1);
  const content = () => schemaView(api, member, path);
  const rest = isDeep ? [folded("Its content", content)] : content();
  return el("li", {}, head, ...markdown(schema.description), ...rest);
}
