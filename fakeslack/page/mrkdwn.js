// Slack's mrkdwn, as nodes. Source: https://docs.slack.dev/messaging/formatting-message-text
import { el, link } from './dom.js';
import { formatDate } from './dates.js';
import { emoji } from './emoji.js';

const marks = { '*': 'b', _: 'i', '~': 's' };
const entities = { '&amp;': '&', '&lt;': '<', '&gt;': '>' };
export const unescape = (s) => s.replace(/&(amp|lt|gt);/g, (e) => entities[e]);

/** mention is a name that stands out; one that rings is yellow. */
export const mention = (label, rings) => el('span', { class: rings ? 'mention rings' : 'mention' }, label);

/** mrkdwn renders a text. env: {channelName(id), userName(id), verbatim}. */
export function mrkdwn(text, env) {
  const out = document.createDocumentFragment();
  const parts = text.split('```');
  parts.forEach((part, i) => {
    if (i % 2 === 1 && i < parts.length - 1) {
      out.append(el('pre', {}, inline(part.replace(/^\n|\n$/g, ''), { ...env, code: true })));
      return;
    }
    const whole = i % 2 === 1 ? '```' + part : part;
    if (whole) out.append(lines(i > 0 ? whole.replace(/^\n/, '') : whole, env));
  });
  return out;
}

function lines(text, env) {
  const out = document.createDocumentFragment();
  let quote = null;
  let first = true;
  for (const line of text.split('\n')) {
    const quoted = /^(&gt;|>) ?/.exec(line);
    if (quoted) {
      if (!quote) out.append((quote = el('blockquote')));
      else quote.append(el('br'));
      quote.append(inline(line.slice(quoted[0].length), env));
      first = true;
      continue;
    }
    quote = null;
    if (!first) out.append(el('br'));
    out.append(inline(line, env));
    first = false;
  }
  return out;
}

const word = (c) => c !== undefined && /[\p{L}\p{N}]/u.test(c);

/** closing is where a style that opens at i ends, or -1. */
function closing(s, i) {
  const mark = s[i];
  if (word(s[i - 1]) || s[i + 1] === undefined || /[\s]/.test(s[i + 1]) || s[i + 1] === mark) return -1;
  for (let j = i + 2; j < s.length; j++) {
    if (s[j] === '`') { // code hides marks
      const end = s.indexOf('`', j + 1);
      if (end > 0) j = end;
      continue;
    }
    if (s[j] === mark && !/\s/.test(s[j - 1]) && !word(s[j + 1])) return j;
  }
  return -1;
}

function inline(s, env) {
  const out = document.createDocumentFragment();
  let plain = '';
  const flush = () => {
    if (plain) out.append(...autolinks(plain, env));
    plain = '';
  };
  const put = (node) => { flush(); out.append(node); };
  for (let i = 0; i < s.length; i++) {
    const c = s[i];
    if (c === '<') {
      const end = s.indexOf('>', i);
      if (end > 0) { put(angled(s.slice(i + 1, end), env)); i = end; continue; }
    }
    if (!env.code) {
      if (c === '`') {
        const end = s.indexOf('`', i + 1);
        if (end > i + 1) { put(el('code', {}, inline(s.slice(i + 1, end), { ...env, code: true }))); i = end; continue; }
      }
      if (marks[c]) {
        const end = closing(s, i);
        if (end > 0) { put(el(marks[c], {}, inline(s.slice(i + 1, end), env))); i = end; continue; }
      }
      if (c === ':') {
        const m = /^:([a-z0-9_+-]+):/.exec(s.slice(i, i + 60));
        if (m && Object.hasOwn(emoji, m[1])) { put(el('span', { class: 'emoji', title: m[0] }, emoji[m[1]])); i += m[0].length - 1; continue; }
      }
    }
    plain += c;
  }
  flush();
  return out;
}

/** angled is what stands between < and >. */
function angled(inner, env) {
  const bar = inner.indexOf('|');
  const target = bar < 0 ? inner : inner.slice(0, bar);
  const label = bar < 0 ? '' : unescape(inner.slice(bar + 1));
  if (target.startsWith('!date^')) {
    const [, unix, format, url] = target.split('^');
    const shown = el('time', {}, formatDate(unix, unescape(format || ''), label));
    return url ? link(unescape(url), shown) : shown;
  }
  if (/^!(here|channel|everyone)$/.test(target)) return mention('@' + target.slice(1), true);
  if (target.startsWith('!subteam^')) return mention(label || '@' + target.slice(9), true);
  if (target.startsWith('!')) return document.createTextNode(label || '<' + target + '>');
  if (target.startsWith('@')) return mention('@' + (label || env.userName(target.slice(1))), true);
  if (target.startsWith('#')) return mention('#' + (label || env.channelName(target.slice(1))), false);
  const url = unescape(target);
  return link(url, label || url.replace(/^mailto:/, ''));
}

/** autolinks is text without angle brackets; outside of verbatim Slack finds links and names in it by itself. */
function autolinks(s, env) {
  const text = unescape(s);
  if (env.verbatim || env.code) return [text];
  const out = [];
  let from = 0;
  for (const m of text.matchAll(/https?:\/\/[^\s<>|]*[^\s<>|.,;:!?)\]'"]|(?<![\p{L}\p{N}_.-])@(?:here|channel|everyone)\b/giu)) {
    out.push(text.slice(from, m.index), m[0][0] === '@' ? mention(m[0], true) : link(m[0], m[0]));
    from = m.index + m[0].length;
  }
  out.push(text.slice(from));
  return out.filter((x) => x !== '');
}
