// Times as Slack writes them, in the reader's zone.
// Source: https://docs.slack.dev/messaging/formatting-message-text#date-formatting

const fmt = (d, o) => new Intl.DateTimeFormat('en-US', o).format(d);

function ordinal(n) {
  const ends = ['th', 'st', 'nd', 'rd'];
  return n + (ends[((n % 100) - 20) % 10] || ends[n % 100] || ends[0]);
}

const dayOf = (d) => new Date(d.getFullYear(), d.getMonth(), d.getDate()).getTime();

/** nearDay is "today", "yesterday" or "tomorrow", or '' for any other day. */
function nearDay(d) {
  const days = Math.round((dayOf(d) - dayOf(new Date())) / 86400000);
  return { 0: 'today', '-1': 'yesterday', 1: 'tomorrow' }[days] || '';
}

const long = (d) => `${fmt(d, { month: 'long' })} ${ordinal(d.getDate())}, ${d.getFullYear()}`;
const short = (d) => fmt(d, { month: 'short', day: 'numeric', year: 'numeric' });

export const time = (d) => fmt(d, { hour: 'numeric', minute: '2-digit' });

function ago(d) {
  const s = Math.round((d.getTime() - Date.now()) / 1000);
  const r = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });
  for (const [unit, size] of [['day', 86400], ['hour', 3600], ['minute', 60]]) {
    if (Math.abs(s) >= size) return r.format(Math.trunc(s / size), unit);
  }
  return r.format(s, 'second');
}

const tokens = {
  date_num: (d) => `${d.getFullYear()}-${String(d.getMonth() + 1).padStart(2, '0')}-${String(d.getDate()).padStart(2, '0')}`,
  date_slash: (d) => fmt(d, { year: 'numeric', month: '2-digit', day: '2-digit' }),
  date: long,
  date_short: short,
  date_long: (d) => `${fmt(d, { weekday: 'long' })}, ${long(d)}`,
  date_pretty: (d) => nearDay(d) || long(d),
  date_short_pretty: (d) => nearDay(d) || short(d),
  date_long_pretty: (d) => nearDay(d) || tokens.date_long(d),
  day_divider_pretty: (d) => nearDay(d) || fmt(d, { weekday: 'long', month: 'long', day: 'numeric' }),
  time,
  time_secs: (d) => fmt(d, { hour: 'numeric', minute: '2-digit', second: '2-digit' }),
  ago,
};

/** formatDate fills a format in; the fallback stands for a time or format that can't be shown. */
export function formatDate(unix, format, fallback) {
  const d = new Date(Number(unix) * 1000);
  if (!Number.isFinite(d.getTime())) return fallback;
  let s = format.replace(/\{([a-z_]+)\}/g, (whole, name) => (tokens[name] ? tokens[name](d) : whole));
  if (/^\{date/.test(format)) s = s.charAt(0).toUpperCase() + s.slice(1);
  return s;
}

export const fullTime = (d) => `${fmt(d, { weekday: 'long', month: 'long', day: 'numeric' })} at ${tokens.time_secs(d)}`;

/** dayLabel heads the messages of a day: "Today", "Yesterday", "Monday, March 2nd". */
export function dayLabel(d) {
  const near = nearDay(d);
  if (near) return near.charAt(0).toUpperCase() + near.slice(1);
  return `${fmt(d, { weekday: 'long', month: 'long' }).split(' ').reverse().join(', ')} ${ordinal(d.getDate())}`;
}

export const sameDay = (a, b) => dayOf(a) === dayOf(b);
