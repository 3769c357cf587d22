// How times are written.

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short" });

export const timeOf = (iso) => clock.format(new Date(iso));

/** moment is a separator between messages: the time, and the day when it is not today. */
export function moment(iso) {
  const date = new Date(iso);
  const today = date.toDateString() === new Date().toDateString();
  return today ? clock.format(date) : `${day.format(date)}, ${clock.format(date)}`;
}

export function milliseconds(ms) {
  if (ms < 1) return "<1 ms";
  if (ms < 1000) return `${ms} ms`;
  if (ms < 60000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.round(ms / 60000)} min`;
}

/** onlyEmoji says whether a text is one to three emoji, which are shown large and without a bubble. */
export function onlyEmoji(text) {
  if (text.length > 40 || !/^(\p{Extended_Pictographic}|\p{Emoji_Component}|\s)+$/u.test(text) || /^[\d#*\s]+$/.test(text)) return false;
  const count = [...new Intl.Segmenter().segment(text.replace(/\s/g, ""))].length;
  return count > 0 && count <= 3;
}

/** ahead is how far a clock was moved, in days and hours. */
export function ahead(seconds) {
  const days = Math.floor(seconds / 86400), hours = Math.round((seconds % 86400) / 3600);
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return [days && `${days} d`, hours && `${hours} h`].filter(Boolean).join(" ");
}

const UNITS = { h: 3600e3, m: 60e3, s: 1e3, ms: 1, "µs": 1e-3, ns: 1e-6 };

/** duration writes what Go writes as 1m2.345678s so that it can be read. */
export const duration = (text) => milliseconds(Math.round([...text.matchAll(/([\d.]+)(h|ms|m|s|µs|ns)/g)].reduce((ms, [, n, unit]) => ms + n * UNITS[unit], 0)));
