// Asks for the numbers each second, and shows them. Nothing is asked while nobody can see the page.

import { el, list, set, text } from "./dom.js";
import { age, clock, count, plural, rate } from "./format.js";
import { Streams, Unit, idOf, links } from "./unit.js";

const STATS = new URL("stats.json", import.meta.url);
const PERIOD = 1000; // milliseconds
const PATIENCE = 10_000;

const $ = (id) => document.getElementById(id);

class Page {
  constructor() {
    this.pids = [];
    this.streams = new Streams();
    this.streams.node.hidden = true;
    this.units = el("div");
    $("sections").append(this.units, this.streams.node);
    $("pause").addEventListener("click", () => this.pause());
    document.addEventListener("visibilitychange", () => this.turn());
    this.turn();
  }

  get rests() {
    return this.paused || document.hidden;
  }

  pause() {
    this.paused = !this.paused;
    set($("pause"), "aria-pressed", String(this.paused));
    text($("pause"), this.paused ? "Go on" : "Pause");
    this.announce(this.paused ? "Paused" : "Going on");
    this.turn();
  }

  // One answer after the other.
  async turn() {
    if (this.rests || this.asking) return;

    this.asking = true;
    const began = performance.now();
    await this.ask();
    this.asking = false;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.turn(), Math.max(PERIOD - (performance.now() - began), PERIOD / 5));
  }

  async ask() {
    try {
      const overview = await fetched();
      this.lostAt = null;
      this.show(overview);
    } catch (error) {
      this.lose(error);
    }
  }

  show(overview) {
    this.last = overview;
    const units = [
      ...overview.consumers.filter((unit) => unit.partitions).map((unit) => ({ ...unit, title: unit.group })),
      ...overview.managers.map((unit, index) => ({ ...unit, title: `Manager ${index + 1}` })),
    ];
    links($("units"), units, overview);
    list(this.units, units, (unit) => `${overview.pid} ${unit.id}`, (unit) => new Unit(unit), overview);
    this.status(overview, units);
    this.streams.node.hidden = overview.streams.length === 0;
    this.streams.update(overview.streams.map((stream, index) => ({ ...stream, title: `Stream ${index + 1}` })), overview);
    this.tellOfProcess(overview);
    document.body.dataset.turns = Number(document.body.dataset.turns ?? 0) + 1;
  }

  status(overview, units) {
    const { concerns, state } = overview;
    const headline = headlineOf(overview);
    this.headline(state, headline, `${headline}${concerns.length ? `: ${concerns.map((one) => one.what.replace(/\d+/g, "")).join("; ")}` : ""}`);
    text($("summary"), summary(overview, units));
    list($("concerns"), concerns.map((one, index) => ({ ...one, index })), (one) => one.index, concern, overview);
  }

  headline(state, words, announced) {
    set($("status"), "data-state", state);
    text($("headline"), words);
    document.title = `${{ ok: "✓", warning: "▲", bad: "✖" }[state] ?? "–"} ${words} – WorkShaper`;
    if (this.announced !== announced) this.announce(words);
    this.announced = announced;
  }

  // What a screen reader says: when something has changed, not each second.
  announce(words) {
    text($("announcer"), words);
  }

  lose(error) {
    this.lostAt ??= Date.now();
    const since = `since ${clock(this.lostAt)}, for ${age((Date.now() - this.lostAt) / 1000)}`;
    document.body.classList.add("stale");
    this.headline("lost", error.words ?? "This process does not answer", error.words ?? "lost");
    const shown = this.last ? ` What is below is of ${clock(this.last.at)}.` : "";
    text($("summary"), `${since}.${shown} The page goes on as soon as it answers.`);
    list($("concerns"), [], () => null);
  }

  // Behind one address there may be several processes, which answer in turn.
  tellOfProcess(overview) {
    document.body.classList.remove("stale");
    const { pid, host, version, at, keys } = overview;
    if (this.pids.at(-1) !== pid) this.pids = [...this.pids, pid].slice(-5);
    const several = new Set(this.pids).size < this.pids.length;
    $("notice").hidden = !several;
    if (several) text($("notice"), `Several processes answer at this address (${[...new Set(this.pids)].sort().join(", ")}): each shows only itself. Give each an address of its own.`);
    text($("process"), `${host}, pid ${pid}`);
    text($("updated"), clock(at));
    text($("about"), `WorkShaper ${version}. ${keys ? "Keys and texts of errors are shown." : "Keys and texts of errors are hidden: WorkShaper::Web.new(keys: true) shows them."}`);
  }
}

class Refused extends Error {
  constructor(words) {
    super(words);
    this.words = words;
  }
}

async function fetched() {
  const answer = await fetch(STATS, { cache: "no-store", redirect: "manual", signal: AbortSignal.timeout(PATIENCE) });
  if (answer.type === "opaqueredirect" || answer.status === 401 || answer.status === 403) throw new Refused("You are not logged in any more: load the page again");
  if (!answer.ok) throw new Refused(`This process answers with an error, ${answer.status}`);
  return answer.json();
}

function headlineOf({ concerns, state }) {
  if (state === "ok") return "All is well";
  if (state === "none") return "Nothing is at work in this process";
  return concerns.length === 1 ? concerns[0].what : `${plural(concerns.length, "thing")} need attention`;
}

function summary({ consumers, managers, streams }, units) {
  const there = [[consumers, "consumer"], [managers, "manager"], [streams, "stream"]].filter(([all]) => all.length).map(([all, word]) => plural(all.length, word));
  if (!there.length) return "No consumer, manager or stream runs here.";
  const total = (number) => units.reduce((sum, unit) => sum + (number(unit) ?? 0), 0);
  const lag = total((unit) => Object.values(unit.partitions).reduce((sum, row) => sum + (row.lag ?? 0), 0));
  const numbers = [`${rate(total((unit) => unit.rates.attempts.last_second))} messages/s`, ...(consumers.length ? [`lag ${count(lag)}`] : [])];
  return `${there.join(", ")}; ${numbers.join(", ")}`;
}

function concern() {
  const name = el("a");
  const what = el("span", { class: "what" });
  const since = el("span", { class: "since" });
  const error = el("span", { class: "error" });
  const level = el("span", { class: "level" });
  const node = el("li", {}, level, el("span", {}, what, " ", name, " ", since, " ", error));
  return {
    node,
    update(row, overview) {
      set(node, "data-level", row.level);
      text(level, row.level === "bad" ? "✖" : "▲");
      set(level, "aria-label", row.level === "bad" ? "Bad" : "Warning");
      set(level, "role", "img");
      text(what, row.what);
      text(name, row.group ?? "manager");
      set(name, "href", document.getElementById(idOf(row)) ? `#${idOf(row)}` : null);
      text(since, row.since ? `since ${clock(row.since)}, for ${age((Date.parse(overview.at) - Date.parse(row.since)) / 1000)}` : "");
      text(error, row.error ?? "");
    },
  };
}

new Page();
