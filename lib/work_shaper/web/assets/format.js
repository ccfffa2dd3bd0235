// Numbers, times and texts as people read them.

const exact = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const NONE = "–";

const missing = (value) => value === null || value === undefined;

export function count(number) {
  if (missing(number)) return NONE;
  return Math.abs(number) < 1e6 ? exact.format(number) : compact.format(number);
}

// Messages a second.
export function rate(number) {
  if (missing(number)) return NONE;
  if (number > 0 && number < 10) return number.toFixed(1);
  return count(number);
}

export function short(number) {
  return number < 10 ? String(Math.round(number * 100) / 100) : compact.format(number);
}

export function bytes(number) {
  if (missing(number)) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (number >= 1024 && unit < units.length - 1) {
    number /= 1024;
    unit += 1;
  }
  return `${number < 10 && unit > 0 ? number.toFixed(1) : Math.round(number)} ${units[unit]}`;
}

// How long something has lasted.
export function age(seconds) {
  if (missing(seconds)) return NONE;
  seconds = Math.max(seconds, 0);
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  return parts(Math.floor(seconds));
}

function parts(seconds) {
  const [minutes, hours, days] = [60, 3600, 86400].map((size) => Math.floor(seconds / size));
  if (days) return `${days} d ${hours % 24} h`;
  if (hours) return `${hours} h ${minutes % 60} min`;
  return `${minutes} min ${seconds % 60} s`;
}

// How long something takes.
export function took(seconds) {
  if (missing(seconds)) return NONE;
  if (seconds < 0.001) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 1) return `${significant(seconds * 1000)} ms`;
  return seconds < 60 ? `${significant(seconds)} s` : age(seconds);
}

function significant(number) {
  return number < 10 ? number.toFixed(1) : String(Math.round(number));
}

// The time of day, with the date if that was not today.
export function clock(time) {
  if (missing(time)) return NONE;
  const date = new Date(time);
  const two = (number) => String(number).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const hour = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return date.toDateString() === new Date().toDateString() ? hour : `${day} ${hour}`;
}

export function plural(number, word) {
  return `${count(number)} ${word}${number === 1 ? "" : "s"}`;
}

// A setting, whatever it is.
export function setting(value) {
  if (value === null || value === "") return "none";
  if (Array.isArray(value)) return value.length ? value.map(setting).join(", ") : "none";
  if (typeof value !== "object") return String(value);
  const all = Object.entries(value).map(([name, of]) => `${name} ${typeof of === "object" && of ? `(${setting(of)})` : setting(of)}`);
  return all.length ? all.join(", ") : "none";
}

// Characters that are not seen, or turn others around, are spelled out: whoever sends a message chooses its key.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb]/g;

export function visible(text) {
  text = String(text);
  return text.replace(UNSEEN, (character) => `⟨U+${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
}
