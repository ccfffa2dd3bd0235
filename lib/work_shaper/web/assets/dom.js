// Elements that are made once and changed in place. Texts are only ever set as texts.

import { visible } from "./format.js";

export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) set(node, name, value);
  node.append(...children);
  return node;
}

const texts = new WeakMap();

// Touches nothing if it is the same as before.
export function text(node, value) {
  if (texts.get(node) === value) return;
  texts.set(node, value);
  node.textContent = visible(value);
}

// null: it has none.
export function set(node, name, value) {
  if (name === "text") return text(node, value);
  if (value === null || value === undefined || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
    return;
  }
  const wanted = value === true ? "" : visible(value);
  if (node.getAttribute(name) !== wanted) node.setAttribute(name, wanted);
}

const lists = new WeakMap();

// The children of a node, one for each item: `make` makes one, with a `node` and an `update`. Those that stay are kept,
// with whatever is open or has the focus in them.
export function list(parent, items, keyOf, make, ...context) {
  const before = lists.get(parent) ?? new Map();
  const after = new Map();
  for (const item of items) {
    const key = keyOf(item);
    if (after.has(key)) continue;
    after.set(key, before.get(key) ?? make(item));
  }
  for (const [key, part] of before) if (!after.has(key)) part.node.remove();
  lists.set(parent, after);

  const shown = new Set();
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    if (shown.has(key)) continue;
    shown.add(key);
    const part = after.get(key);
    part.update(item, ...context);
    if (part.node === place) place = place.nextElementSibling;
    else parent.insertBefore(part.node, place);
  }
}

// Something to open: what is inside is only made while it is open.
export function folded(title, fill) {
  const summary = el("summary");
  const inside = el("div", { class: "inside" });
  const node = el("details", {}, summary, inside);
  let last;
  const refresh = () => node.open && last && fill(inside, ...last);
  node.addEventListener("toggle", refresh);
  return {
    node,
    summary,
    update(...values) {
      last = values;
      text(summary, title(...values));
      refresh();
    },
  };
}
