// Builds elements.

/** Creates an element; attributes that start with "on" are listeners; `null` and `false` attributes and children are left out. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A summary that opens its content. The content is built when it is opened first. */
export function folded(summary, build, attributes = {}) {
  const details = el("details", attributes, el("summary", {}, summary));
  const fill = () => {
    if (details.open && details.children.length === 1) details.append(...[build()].flat());
  };
  details.addEventListener("toggle", fill);
  fill();
  return details;
}

/** A button that copies a text, which `read` returns. */
export function copyButton(label, read) {
  const button = el("button", { type: "button", class: "quiet" }, label);
  button.addEventListener("click", async () => {
    const isCopied = await navigator.clipboard.writeText(read()).then(
      () => true,
      () => false,
    );
    button.textContent = isCopied ? "Copied" : "The browser does not allow it";
    setTimeout(() => (button.textContent = label), 1500);
  });
  return button;
}

/** A block of code that the keyboard can scroll. */
export function codeBlock(label, ...content) {
  return el("pre", { tabindex: "0", role: "region", "aria-label": label }, el("code", {}, ...content));
}

const JSON_PART = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(true|false|null)\b|-?\b\d+(?:\.\d+)?(?:[eE][-+]?\d+)?\b/g;

/** Colors the parts of a JSON text. */
export function colored(json) {
  const parts = [];
  let end = 0;
  for (const match of json.matchAll(JSON_PART)) {
    parts.push(json.slice(end, match.index));
    const kind = match[2] ? "key" : match[1] ? "text" : match[3] ? "word" : "number";
    parts.push(el("span", { class: `json-${kind}` }, match[1] ?? match[0]), match[2] ?? "");
    end = match.index + match[0].length;
  }
  return [...parts, json.slice(end)];
}

const MARK = /`([^`]+)`|\*\*([^*]+)\*\*|\[([^\]]+)\]\(([^)\s]+)\)/g;

function line(text) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(MARK)) {
    const [all, code, strong, label, address] = match;
    parts.push(text.slice(end, match.index));
    if (code) parts.push(el("code", {}, code));
    else if (strong) parts.push(el("strong", {}, strong));
    else parts.push(/^(https?:|[/#])/.test(address) ? el("a", { href: address }, ...line(label)) : label);
    end = match.index + all.length;
  }
  return [...parts, text.slice(end)];
}

/** Renders the Markdown of the document: paragraphs, lists, code, bold, links. */
export function markdown(text) {
  const blocks = (text ?? "").split(/\n\s*\n/).filter((block) => block.trim());
  return blocks.map((block) => {
    const items = block.split(/\n(?=[*-] )/);
    if (!items.every((item) => /^[*-] /.test(item))) return el("p", {}, ...line(block));
    return el("ul", {}, ...items.map((item) => el("li", {}, ...line(item.slice(2)))));
  });
}
