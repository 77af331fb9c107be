// Numbers, times and durations as people read them.

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

const whole = new Intl.NumberFormat("en-US");
const oneDecimal = new Intl.NumberFormat("en-US", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });

/** What stands where there is no number. */
export const NONE = "–";

/** A count: 12,345. */
export function count(value) {
  return Number.isFinite(value) ? whole.format(value) : NONE;
}

/** A count where there is little room: 12.3K from ten thousand on. */
export function short(value) {
  if (!Number.isFinite(value)) return NONE;
  return Math.abs(value) < 10_000 ? whole.format(Math.round(value)) : compact.format(value);
}

/** A number within a text with more characters than this is written short. */
const NUMBER_CHARS = 9;

/** A count in at most so many characters: short where all its digits are too many. */
export function fitted(value, chars = NUMBER_CHARS) {
  const text = count(value);
  return text.length <= chars ? text : short(value);
}

/** Events a second: 0, 0.4, 7.2, 143. */
export function rate(value) {
  if (!Number.isFinite(value)) return NONE;
  if (value === 0) return "0";
  if (value < 0.05) return "<0.1";
  return value < 9.95 ? oneDecimal.format(value) : whole.format(Math.round(value));
}

/** "1 order", "2 orders". */
export function plural(value, one, many = `${one}s`) {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** A part of a whole: 42 %; never 100 % before it is all, nor 0 % of something. */
export function percent(part, all) {
  if (!(all > 0)) return NONE;
  const value = (100 * part) / all;
  if (value > 0 && value < 1) return "<1 %";
  if (value > 99 && value < 100) return ">99 %";
  return `${Math.round(value)} %`;
}

/** A duration, to about three digits: 412 ms, 1.4 s, 38 s, 4 min 05 s, 2 h 10 min, 3 d 4 h. */
export function duration(ms) {
  if (!Number.isFinite(ms)) return NONE;
  const value = Math.max(0, ms);
  if (value < SECOND_MS) return `${Math.round(value)} ms`;
  if (value < 10 * SECOND_MS) return `${oneDecimal.format(value / SECOND_MS)} s`;
  if (value < MINUTE_MS) return `${Math.floor(value / SECOND_MS)} s`;
  if (value < HOUR_MS) return `${Math.floor(value / MINUTE_MS)} min ${two((value % MINUTE_MS) / SECOND_MS)} s`;
  if (value < DAY_MS) return `${Math.floor(value / HOUR_MS)} h ${two((value % HOUR_MS) / MINUTE_MS)} min`;
  return `${Math.floor(value / DAY_MS)} d ${Math.floor((value % DAY_MS) / HOUR_MS)} h`;
}

/** An age that is looked at while it grows: 0.4 s, 12 s, 4 min. */
export function age(ms) {
  const value = Math.max(0, ms);
  if (value < 10 * SECOND_MS) return `${oneDecimal.format(value / SECOND_MS)} s`;
  if (value < MINUTE_MS) return `${Math.floor(value / SECOND_MS)} s`;
  if (value < HOUR_MS) return `${Math.floor(value / MINUTE_MS)} min`;
  return duration(value);
}

/** What is left until a time, as a clock shows it: 0:41, 12:05, 1:02:03, 3 d 04:05:06. */
export function countdown(ms) {
  const seconds = Math.ceil(Math.max(0, ms) / SECOND_MS);
  const days = Math.floor(seconds / 86_400);
  const hours = Math.floor((seconds % 86_400) / 3_600);
  const minutes = Math.floor((seconds % 3_600) / 60);
  if (days > 0) return `${days} d ${two(hours)}:${two(minutes)}:${two(seconds % 60)}`;
  if (hours > 0) return `${hours}:${two(minutes)}:${two(seconds % 60)}`;
  return `${minutes}:${two(seconds % 60)}`;
}

/** A time of the day, in the reader's time zone: 14:03:22. */
export function clock(ms) {
  const date = new Date(ms);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** The same to the millisecond: 14:03:22.045. */
export function exactClock(ms) {
  return `${clock(ms)}.${String(new Date(ms).getMilliseconds()).padStart(3, "0")}`;
}

/** A time with its day, where that is not today's (`now`, Unix ms). */
export function moment(ms, now) {
  const [day, today] = [new Date(ms), new Date(now)];
  if (day.toDateString() === today.toDateString()) return clock(ms);
  return `${day.getFullYear()}-${two(day.getMonth() + 1)}-${two(day.getDate())} ${clock(ms)}`;
}

/** A name as it has to be typed into redis-cli: quoted where it is more than a plain word. */
export function word(name) {
  return /^[\w:{}.@/+-]+$/.test(name) ? name : JSON.stringify(name).replace(/\\u00(..)/g, "\\x$1");
}

function two(value) {
  return String(Math.floor(value)).padStart(2, "0");
}
