// What a section about a consumer or a manager is made of: each part has a `node`, and an `update(unit, overview)`.

import { Chart } from "./chart.js";
import { el, folded, list, set, text } from "./dom.js";
import { age, bytes, clock, count, plural, rate, setting, took } from "./format.js";
import { Table } from "./table.js";

const HIDDEN = "hidden";
const HELD_UP = 30; // seconds, as in Concerns

export const placeOf = (row) => (row.topic === undefined ? `${row.partition}` : `${row.topic}/${row.partition}`);

const keyOf = (key, overview) => (overview.keys ? key ?? "none" : HIDDEN);

// Numbers that say how it goes.
export function tiles() {
  const node = el("dl", { class: "tiles" });
  const tile = ([name]) => {
    const value = el("dd");
    const more = el("dd", { class: "more" });
    const part = el("div", {}, el("dt", { text: name }), value, more);
    return { node: part, update([, number, words, state]) { text(value, number); text(more, words ?? ""); set(part, "data-state", state ?? null); } };
  };
  return { node, update(unit, overview) { list(node, numbers(unit, overview), ([name]) => name, tile); } };
}

function numbers(unit, overview) {
  const { rates, settings } = unit;
  const partitions = Object.values(unit.partitions);
  const lags = partitions.map((row) => row.lag).filter((lag) => typeof lag === "number");
  const oldest = Math.max(...partitions.map((row) => row.oldest_age_sec ?? 0), 0);
  const all = [
    ["Worked on", `${rate(rates.attempts.last_second)}/s`, `${rate(rates.attempts.last_minute)}/s in the last minute`],
    ["Came in", `${rate(rates.enqueued.last_second)}/s`, `${count(unit.total_enqueued)} in all`],
    ["Running", count(unit.running), `${count(unit.workers)} of ${plural(settings.concurrency, "thread")}`],
    ["Waiting", count(unit.waiting), unit.bytes === undefined ? `for ${plural(unit.sub_keys, "key")}` : `${bytes(unit.bytes)} of ${bytes(settings.max_bytes)}`],
    ["To be tried again", count(unit.retrying), `${count(unit.total_retried)} in all`],
    ["Oldest unfinished", oldest ? age(oldest) : "–", "", oldest >= HELD_UP ? "warning" : null],
  ];
  if (unit.group === undefined) return all;

  const commits = unit.commits;
  all.unshift(["Lag", lags.length ? count(lags.reduce((sum, lag) => sum + lag, 0)) : "not known", `in ${plural(partitions.length, "partition")}`]);
  all.push(
    ["Committed", clock(commits.last_confirmed_at), commits.refused ? `${count(commits.refused)} refused` : `${count(commits.confirmed)} confirmed`],
    ["Repeated if killed", count(unit.repeated_if_killed), "messages"],
  );
  return all;
}

// Throughput and lag of the last minutes.
export function charts(unit) {
  const throughput = new Chart("Throughput", [{ name: "worked on", color: "series1", fill: true }, { name: "came in", color: "series2" }], (number) => `${rate(number)}/s`);
  const lag = unit.history.lag && new Chart("Lag", [{ name: "messages", color: "series3", fill: true }], count);
  return {
    node: el("div", { class: "charts" }, throughput.node, ...(lag ? [lag.node] : [])),
    update({ history }, overview) {
      const now = Date.parse(overview.at) / 1000;
      const at = (rows) => rows.map(([ago]) => now - ago);
      throughput.update(at(history.rates), [history.rates.map((row) => row[2]), history.rates.map((row) => row[1])], now);
      lag?.update(at(history.lag), [history.lag.map((row) => row[1])], now);
    },
  };
}

// The oldest unfinished message of each partition that is held up.
export function blocked() {
  const table = new Table("What blocks", [
    { title: "Message", text: (row) => `${placeOf(row)} offset ${row.offset}` },
    { title: "Key", text: (row, overview) => keyOf(row.sub_key, overview), kind: "key" },
    { title: "Age", text: (row) => age(row.age_sec), kind: "number" },
    { title: "Attempt", text: (row) => count(row.attempt), kind: "number" },
    { title: "State", text: what },
    { title: "Behind it", text: (row) => `${count(row.waiting)} waiting, ${count(row.finished_beyond)} finished`, kind: "wide" },
    { title: "Last error", cell: why },
  ], { key: (row) => `${placeOf(row)}:${row.offset}`, limit: 5, look: "stack", empty: "Nothing: no message is older than a few seconds, and none has failed." });
  return panel("What blocks", table.node, (unit, overview) => table.update(unit.blocked, overview), "whole");
}

function what(row) {
  if (row.give_up) return row.refusals ? `cannot be given up (${row.give_up})` : `is given up (${row.give_up})`;
  if (row.worker) return "runs";
  return row.error || row.attempt > 1 ? "waits for its next try" : "waits for its turn";
}

function why() {
  return folded((row) => row.error ?? (row.backtrace.length ? "where it is" : "none"), (inside, row) => frames(inside, row.backtrace));
}

function frames(inside, backtrace) {
  const numbered = backtrace.map((frame, index) => ({ frame, index }));
  inside.classList.add("frames");
  list(inside, numbered, (row) => row.index, () => {
    const node = el("code");
    return { node, update: (row) => text(node, row.frame) };
  });
}

// A row for each partition, those that need a look first.
export function partitions() {
  const table = new Table("Partitions", [
    { title: "Partition", cell: named },
    { title: "In flight", cell: bar, kind: "flight" },
    { title: "Running", text: (row) => count(row.running), kind: "number wide" },
    { title: "Waiting", text: (row) => count(row.waiting), kind: "number wide" },
    { title: "Gap", hint: "Finished beyond the frontier: committed when the oldest is finished", text: (row) => count(row.finished_beyond), kind: "number wide" },
    { title: "Lag", text: (row) => count(row.lag), kind: "number" },
    { title: "Oldest", text: (row) => age(row.oldest_age_sec), kind: "number" },
    { title: "Frontier", hint: "The offset that holds up the others, or else the next to be committed", text: frontier, kind: "number wide" },
  ], { key: (row) => row.name, limit: 15, look: "fixed", filter: (row) => row.name });
  const legend = el("p", { class: "legend", "aria-hidden": "true" },
    ...[["running", "running"], ["waiting", "waiting"], ["beyond", "finished, behind the oldest"]].flatMap(([kind, words]) => [el("i", { class: `mark ${kind}` }), `${words} `]));
  return panel("Partitions", el("div", {}, legend, table.node), (unit, overview) => table.update(rows(unit), overview), "whole");
}

const frontier = (row) => row.oldest_unfinished ?? row.committed ?? (row.last_acked === null ? "–" : row.last_acked + 1);

function rows(unit) {
  const paused = new Set(unit.paused ?? []);
  const most = Math.max(...Object.values(unit.partitions).map((row) => row.running + row.waiting + row.finished_beyond), 1);
  const all = Object.entries(unit.partitions).map(([name, row]) => ({ name, ...row, most, marks: marks(name, row, paused, unit.troubles) }));
  return all.sort((one, other) => needsLook(other) - needsLook(one) || compare(one.name, other.name));
}

const needsLook = (row) => row.marks.some(([state]) => state !== "plain");

function marks(name, row, paused, troubles) {
  const all = [];
  if (troubles?.[name]) all.push(["bad", "nothing comes in"]);
  if (row.oldest_age_sec >= HELD_UP) all.push(["warning", "held up"]);
  if (row.oldest_attempt > 1) all.push(["plain", `attempt ${row.oldest_attempt}`]);
  if (paused.has(name)) all.push(["plain", "paused"]);
  return all;
}

const orders = new Map();

// orders/9 comes before orders/10.
function compare(one, other) {
  const [left, right] = [one, other].map((name) => {
    if (!orders.has(name)) orders.set(name, name.replace(/\d+$/, (digits) => digits.padStart(12, "0")));
    return orders.get(name);
  });
  return left < right ? -1 : Number(left > right);
}

function named() {
  const name = el("bdi");
  const marks = el("span", { class: "marks" });
  const mark = () => {
    const node = el("span");
    return { node, update([state, words]) { set(node, "class", `badge ${state}`); text(node, words); } };
  };
  return { node: el("span", { class: "named" }, name, marks), update(row) { text(name, row.name); list(marks, row.marks, ([, words]) => words.replace(/\d+/, ""), mark); } };
}

function bar() {
  const kinds = ["running", "waiting", "beyond"];
  const pieces = kinds.map((kind) => el("i", { class: kind }));
  const rest = el("i", { class: "rest" });
  const node = el("span", { class: "bar", role: "img" }, ...pieces, rest);
  let before = "";
  return {
    node,
    update(row) {
      const counts = [row.running, row.waiting, row.finished_beyond];
      const now = [...counts, row.most].join();
      if (now === before) return;

      before = now;
      set(node, "aria-label", `${count(counts[0])} running, ${count(counts[1])} waiting, ${count(counts[2])} finished beyond`);
      [...counts, row.most - counts.reduce((sum, number) => sum + number, 0)].forEach((number, index) => {
        const piece = pieces[index] ?? rest;
        piece.style.flexGrow = number;
        piece.style.minWidth = number && index < kinds.length ? "3px" : "0";
      });
    },
  };
}

export function workers() {
  const table = new Table("Workers", [
    { title: "Thread", text: (row) => row.worker?.replace("work_shaper ", "") ?? "–" },
    { title: "Message", text: (row) => `${placeOf(row)} offset ${row.offset}` },
    { title: "Key", text: (row, overview) => keyOf(row.sub_key, overview), kind: "key wide" },
    { title: "Attempt", text: (row) => count(row.attempt), kind: "number wide" },
    { title: "For", text: (row) => age(row.seconds), kind: "number" },
    { title: "Frames", cell: () => folded((row) => row.backtrace[0]?.split("/").at(-1) ?? "none", (inside, row) => frames(inside, row.backtrace)) },
  ], { key: (row) => row.worker, limit: 8, look: "stack", empty: "All idle" });
  const number = (row) => Number(row.worker?.match(/\d+$/)?.[0] ?? 0);
  const long = (row) => (row.seconds >= 1 ? row.seconds : 0);
  const sorted = (work) => [...work].sort((one, other) => long(other) - long(one) || number(one) - number(other));
  return panel("Workers", table.node, (unit, overview) => table.update(sorted(unit.work), overview), "wider");
}

export function hotKeys() {
  const table = new Table("Hot keys", [
    { title: "Key", text: (row, overview) => keyOf(row.sub_key, overview), kind: "key" },
    { title: "Waiting", text: (row) => count(row.waiting), kind: "number" },
  ], { key: (row) => row.place, empty: "On no key more than one message waits." });
  const numbered = (rows) => rows.filter((row) => row.waiting > 1).map((row, place) => ({ ...row, place }));
  return panel("Hot keys", table.node, (unit, overview) => table.update(numbered(unit.hot_keys), overview));
}

export function durations() {
  const of = (what, percent, kind = "number") => ({ title: `${what === "queue" ? "Waited" : "Worked"}, ${percent ? `p${percent}` : "most"}`, kind,
    text: (row) => took(percent ? row[what].percentiles[percent] : row[what].max) });
  const table = new Table("Durations", [
    { title: "Topic", text: (row) => row.topic },
    { title: "Attempts", text: (row) => count(row.work.count), kind: "number" },
    of("queue", 50, "number wide"), of("queue", 99), of("queue", null, "number wide"),
    of("work", 50), of("work", 99), of("work", null, "number wide"),
  ], { key: (row) => row.topic, limit: 5, look: "stack", empty: "No attempt has ended yet." });
  return panel("Durations", table.node, ({ durations }) => {
    const topics = durations.work?.percentiles ? { all: durations } : durations;
    table.update(Object.entries(topics).map(([topic, row]) => ({ topic, ...row })).filter((row) => row.work.count));
  }, "whole");
}

export function failures() {
  const classes = new Table("Failed attempts", [
    { title: "Error", text: ([name]) => name },
    { title: "Attempts", text: ([, number]) => count(number), kind: "number" },
  ], { key: ([name]) => name, limit: 5, empty: "No attempt has failed." });
  return panel("Failed attempts", classes.node, (unit) =>
    classes.update(Object.entries(unit.failures).sort(([, one], [, other]) => other - one)));
}

export function givenUp() {
  const totals = el("p");
  const table = new Table("Given up last", [
    { title: "When", text: (row) => clock(row.at) },
    { title: "Message", text: (row) => `${row.partition} offset ${row.offset}` },
    { title: "Attempts", text: (row) => count(row.attempts), kind: "number wide" },
    { title: "Error", text: (row) => row.error ?? "–", kind: "key" },
    { title: "To", text: (row) => (row.action === "skip" ? "skipped" : row.action) },
  ], { key: (row) => `${row.at} ${row.partition} ${row.offset}`, limit: 5, look: "stack", empty: "None" });
  return panel("Dead letters", el("div", {}, totals, table.node), (unit) => {
    const waiting = unit.dead_letters_waiting ? `, ${count(unit.dead_letters_waiting)} not confirmed yet` : "";
    text(totals, `${plural(unit.total_dead_lettered, "dead letter")}, ${count(unit.total_skipped)} skipped${waiting}`);
    table.update([...unit.given_up].reverse());
  }, "wider");
}

export function settings() {
  const part = folded(() => "Settings in force", (inside, { settings }) => {
    inside.classList.add("settings");
    list(inside, Object.entries(settings), ([name]) => name, ([name]) => {
      const value = el("dd");
      return { node: el("dl", {}, el("dt", { text: name }), value), update: ([, now]) => text(value, setting(now)) };
    });
  });
  part.node.classList.add("panel", "whole");
  return part;
}

function panel(title, content, update, size = "") {
  return { node: el("div", { class: `panel ${size}` }, el("h3", { text: title }), content), update };
}
