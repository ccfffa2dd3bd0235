// The section about one consumer or manager, and the table of streams.

import { el, list, set, text } from "./dom.js";
import { age, clock, count, rate, setting } from "./format.js";
import { blocked, charts, durations, failures, givenUp, hotKeys, partitions, settings, tiles, workers } from "./parts.js";
import { Table } from "./table.js";

const ORDER = ["bad", "warning", "ok"];
const WORDS = { bad: "Not well", warning: "Needs a look", ok: "Well" };

// What the concerns say of it.
export function stateOf(unit, overview) {
  const levels = overview.concerns.filter((concern) => concern.id === unit.id).map((concern) => concern.level);
  return ORDER.find((level) => levels.includes(level)) ?? "ok";
}

export const idOf = (unit) => `unit-${unit.id}`;

export function wordsOf(unit, overview) {
  const state = stateOf(unit, overview);
  if (unit.unready === "it stops" || unit.shutting_down) return [state, "Stopping"];
  return [state, WORDS[state]];
}

export class Unit {
  constructor(unit) {
    const id = idOf(unit);
    this.title = el("h2", { id: `${id}-title` });
    this.badge = el("span", { class: "badge" });
    this.about = el("p", { class: "about" });
    this.parts = [tiles(), charts(unit), blocked(), partitions(), workers(), hotKeys(), givenUp(), failures(), durations(), settings()];
    const [first, second, ...panels] = this.parts.map((part) => part.node);
    this.node = el("section", { class: "unit", id, tabindex: "-1", "aria-labelledby": `${id}-title` },
      el("div", { class: "heading" }, this.title, this.badge, this.about), first, second, el("div", { class: "panels" }, ...panels));
  }

  update(unit, overview) {
    const [state, words] = wordsOf(unit, overview);
    text(this.title, unit.title);
    set(this.badge, "class", `badge ${state}`);
    text(this.badge, words);
    text(this.about, about(unit, overview));
    for (const part of this.parts) part.update(unit, overview);
  }
}

function about(unit, overview) {
  if (unit.group === undefined) return "manager";
  const since = `running since ${clock(unit.began_at)}`;
  return `${unit.settings.protocol}; topics ${setting(unit.settings.topics)}; at ${unit.settings.servers}; ${since}`;
}

// One link for each, if there are several.
export function links(nav, units, overview) {
  nav.hidden = units.length < 2;
  list(nav, units, (unit) => unit.id, (unit) => {
    const name = el("bdi");
    const more = el("span", { class: "more" });
    const dot = el("i", { class: "dot" });
    const node = el("a", { href: `#${idOf(unit)}` }, dot, name, more);
    return {
      node,
      update(now) {
        const [state, words] = wordsOf(now, overview);
        set(dot, "class", `dot ${state}`);
        text(name, now.title);
        text(more, `${words}, ${rate(now.rates.attempts.last_second)}/s`);
      },
    };
  });
}

// All streams of the process: they come and go.
export class Streams {
  constructor() {
    const of = (name) => (row) => count(row[name]);
    this.table = new Table("Streams", [
      { title: "Stream", text: (row) => row.title },
      { title: "Worked on", text: (row) => `${rate(row.history.rates.at(-1)?.[2] ?? null)}/s`, kind: "number" },
      { title: "Running", text: of("running"), kind: "number" },
      { title: "Waiting", text: of("waiting"), kind: "number" },
      { title: "Inside", text: of("in_flight"), kind: "number wide" },
      { title: "Pushed", text: of("pushed"), kind: "number wide" },
      { title: "Taken", text: of("taken"), kind: "number wide" },
      { title: "Again", text: of("retrying"), kind: "number wide" },
      { title: "Failed", text: of("failed"), kind: "number" },
      { title: "Settings", text: (row) => `concurrency ${row.settings.concurrency}, max_in_flight ${row.settings.max_in_flight}`, kind: "wide" },
    ], { key: (row) => row.id, limit: 10 });
    this.node = el("section", { class: "unit", "aria-labelledby": "streams" }, el("div", { class: "heading" }, el("h2", { id: "streams", text: "Streams" })),
      el("div", { class: "panel whole" }, this.table.node));
  }

  update(streams, overview) {
    this.table.update(streams, overview);
  }
}
