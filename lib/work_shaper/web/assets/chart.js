// The last minutes as a line, drawn by uPlot. Its caption says the same in words.

import { el, text } from "./dom.js";
import { short } from "./format.js";

const SPAN = 900; // seconds
const SHORTEST = 120;
const HEIGHT = 150;

const dark = matchMedia("(prefers-color-scheme: dark)");

export class Chart {
  // lines: [{ name, color (of page.css) }]; say(number): in words.
  constructor(title, lines, say) {
    this.lines = lines;
    this.say = say;
    this.holder = el("div", { class: "plot", "aria-hidden": "true" });
    this.values = lines.map(() => el("span", { class: "value" }));
    const words = lines.map((line, index) =>
      el("span", { class: "line" }, el("i", { class: `mark ${line.color}`, "aria-hidden": "true" }), `${line.name} `, this.values[index]));
    this.when = el("span", { class: "when" });
    this.node = el("figure", {}, el("figcaption", {}, el("span", { class: "name", text: title }), ...words, this.when), this.holder);
    new ResizeObserver(() => this.resize()).observe(this.holder);
    dark.addEventListener("change", () => this.draw(true));
  }

  // columns: for each line an Array of [seconds since 1970, number or null], all with the same times.
  update(times, columns, now) {
    const newest = times.at(-1);
    if (newest === undefined || (this.newest !== undefined && Math.abs(newest - this.newest) < 0.5)) return this.tell();

    this.newest = newest;
    this.data = [times, ...columns];
    this.range = [Math.min(Math.max(times[0], now - SPAN), now - SHORTEST), now];
    this.draw(false);
    this.tell();
  }

  tell() {
    const index = this.plot?.cursor.idx ?? null;
    this.lines.forEach((_, line) => {
      const numbers = this.data?.[line + 1] ?? [];
      const known = numbers.filter((number) => number !== null);
      text(this.values[line], this.words(index === null ? known.at(-1) : numbers[index], known));
    });
    text(this.when, index === null ? "" : `at ${time(this.data[0][index], true)}`);
  }

  words(number, known) {
    if (number === undefined || number === null) return known.length ? "not known" : "comes in some seconds";
    return `${this.say(number)}, of ${this.say(Math.min(...known))} to ${this.say(Math.max(...known))}`;
  }

  draw(anew) {
    if (anew) {
      this.plot?.destroy();
      this.plot = null;
    }
    if (!this.data || !this.holder.clientWidth) return;
    if (this.plot) this.plot.setData(this.data);
    else this.plot = new uPlot(this.options(), this.data, this.holder);
  }

  resize() {
    if (!this.plot) return this.draw(false);
    if (this.plot.width !== this.holder.clientWidth) this.plot.setSize({ width: this.holder.clientWidth, height: HEIGHT });
  }

  options() {
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(`--${name}`).trim();
    const axis = { stroke: color("muted"), font: "11px system-ui, sans-serif", ticks: { show: false } };
    return {
      width: this.holder.clientWidth,
      height: HEIGHT,
      padding: [10, 26, 0, 0],
      legend: { show: false },
      select: { show: false },
      cursor: { y: false, drag: { x: false, y: false, setScale: false }, sync: { key: "time" } },
      scales: { x: { range: () => this.range }, y: { range: (_, __, most) => [0, Math.max(most * 1.15, 1)] } },
      axes: [
        { ...axis, size: 22, gap: 4, space: 70, grid: { show: false }, values: (_, all) => all.map((at) => time(at)) },
        { ...axis, size: 46, gap: 6, space: 34, grid: { stroke: color("line"), width: 1 }, values: (_, all) => all.map(short) },
      ],
      series: [{}, ...this.lines.map((line) => ({
        stroke: color(line.color),
        fill: line.fill ? color(`${line.color}-fill`) : undefined,
        width: 1.5,
        points: { show: false },
      }))],
      hooks: { setCursor: [() => this.tell()] },
    };
  }
}

function time(seconds, exactly = false) {
  const date = new Date(seconds * 1000);
  const two = (number) => String(number).padStart(2, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}${exactly || date.getSeconds() ? `:${two(date.getSeconds())}` : ""}`;
}
