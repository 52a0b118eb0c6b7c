// The OpenAPI document as the explorer needs it: references resolved, operations in order, examples at hand.

const METHODS = ["get", "put", "post", "patch", "delete"];

/** A TypeID: a prefix and a base-32 UUIDv7. */
export const ID = /\b([a-z]+)_[0-7][0-9a-hjkmnp-tv-z]{25}\b/g;

/** Returns the part of a value that a JSON pointer names, or undefined. */
export function pointed(value, pointer) {
  const names = pointer
    .split("/")
    .slice(1)
    .map((name) => name.replaceAll("~1", "/").replaceAll("~0", "~"));
  return names.reduce((part, name) => part?.[name], value);
}

export class OpenApiDocument {
  constructor(json) {
    this.json = json;
    this.roles = Object.keys(json.components?.securitySchemes ?? {});
    this.operations = Object.entries(json.paths).flatMap(([path, item]) =>
      METHODS.filter((method) => item[method]).map((method) => this.#operation(path, method, item[method])),
    );
    this.byId = new Map(this.operations.map((operation) => [operation.id, operation]));
    this.exampleIds = new Set([...JSON.stringify(json).matchAll(ID)].map(([id]) => id));
  }

  /** Follows a reference. Members beside it take precedence; `name` is the name of the component. */
  resolve(node) {
    if (!node?.$ref) return node ?? {};
    const { $ref, ...own } = node;
    return { name: $ref.split("/").at(-1), ...this.resolve(pointed(this.json, $ref.slice(1))), ...own };
  }

  #operation(path, method, node) {
    const body = node.requestBody && this.resolve(node.requestBody);
    const responses = Object.entries(node.responses).map(([status, response]) => {
      const { description, content, links } = this.resolve(response);
      return { status, description, content: this.#content(content), links: Object.values(links ?? {}) };
    });
    return {
      id: node.operationId,
      path,
      method: method.toUpperCase(),
      tag: node.tags?.[0] ?? "other",
      summary: node.summary ?? node.operationId,
      description: node.description ?? "",
      roles: (node.security ?? this.json.security ?? []).flatMap(Object.keys),
      parameters: (node.parameters ?? []).map((parameter) => this.#parameter(parameter)),
      body: body && { isRequired: body.required === true, ...this.#content(body.content)[0] },
      responses,
      accepts: responses.filter(({ status }) => status.startsWith("2")).flatMap(({ content }) => content.map(({ type }) => type)),
    };
  }

  #content(content) {
    return Object.entries(content ?? {}).map(([type, { schema, example, examples }]) => {
      const named = Object.entries(examples ?? {}).map(([key, one]) => {
        const { summary, value } = this.resolve(one);
        return { key, summary: summary ?? key, value };
      });
      if (example !== undefined) named.unshift({ key: "example", summary: "Example", value: example });
      return { type, schema, examples: named };
    });
  }

  #parameter(node) {
    const parameter = this.resolve(node);
    const schema = this.resolve(parameter.schema);
    const example = parameter.example ?? schema.example ?? schema.examples?.[0];
    return { ...parameter, name: parameter.name, schema, example, prefix: idPrefix(schema) };
  }
}

/** The prefix of an id's schema, if it is one of an id. */
function idPrefix(schema) {
  return /^\^([a-z]+)_\[0-7\]/.exec(schema?.pattern ?? "")?.[1];
}
