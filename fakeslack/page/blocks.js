// Block Kit, as nodes. Source: https://docs.slack.dev/reference/block-kit/blocks
import { el, link } from './dom.js';
import { formatDate } from './dates.js';
import { emoji } from './emoji.js';
import { mrkdwn, mention } from './mrkdwn.js';

/** blocks renders a message's blocks. env: {channelName(id), userName(id)}. */
export function blocks(list, env) {
  return list.map((b) => (Object.hasOwn(kinds, b.type) ? kinds[b.type](b, env) : el('div', { class: 'unknown' }, `[${b.type}]`)));
}

const kinds = {
  header: (b, env) => el('div', { class: 'b-header', role: 'heading', 'aria-level': '3' }, text(b.text, env)),
  divider: () => el('hr'),
  image: (b) => el('div', { class: 'b-image' }, picture(b)),
  section: (b, env) => el('div', { class: 'b-section' },
    el('div', { class: 'b-main' },
      b.text ? el('div', { class: 'b-text' }, text(b.text, env)) : null,
      b.fields ? el('div', { class: 'b-fields' }, b.fields.map((f) => el('div', {}, text(f, env)))) : null),
    b.accessory ? el('div', { class: 'b-accessory' }, b.accessory.type === 'button' ? button(b.accessory) : picture(b.accessory)) : null),
  context: (b, env) => el('div', { class: 'b-context' },
    b.elements.map((e) => el('span', {}, e.type === 'image' ? picture(e) : text(e, env)))),
  actions: (b) => el('div', { class: 'b-actions' }, b.elements.map(button)),
  rich_text: (b, env) => el('div', { class: 'b-rich' }, b.elements.map((e) => group(e, env))),
};

/** text is a text object. */
function text(t, env) {
  if (t.type === 'mrkdwn') return mrkdwn(t.text, { ...env, verbatim: t.verbatim === true });
  if (t.emoji === false) return t.text;
  return t.text.replace(/:([a-z0-9_+-]+):/g, (whole, name) => (Object.hasOwn(emoji, name) ? emoji[name] : whole));
}

/** picture stands for an image: the page loads nothing from elsewhere. */
const picture = (b) => link(b.image_url, `🖼 ${b.alt_text}`);

function button(b) {
  const look = `button ${b.style === 'primary' || b.style === 'danger' ? b.style : ''}`;
  const label = text(b.text, {});
  if (b.url && /^https?:\/\//i.test(b.url)) return link(b.url, label, look);
  return el('button', { type: 'button', class: look }, label);
}

function group(e, env) {
  const runs = () => (e.elements || []).map((r) => run(r, env));
  switch (e.type) {
    case 'rich_text_quote': return el('blockquote', {}, runs());
    case 'rich_text_preformatted': return el('pre', {}, runs());
    case 'rich_text_list': {
      const depth = Math.min(e.indent || 0, 8);
      return el(e.style === 'ordered' ? 'ol' : 'ul', { class: `depth${depth}`, start: e.offset ? e.offset + 1 : null },
        e.elements.map((item) => el('li', {}, (item.elements || []).map((r) => run(r, env)))));
    }
    default: return el('div', { class: 'rt-section' }, runs());
  }
}

/** run is one element of rich_text. */
function run(r, env) {
  const style = r.style || {};
  let node;
  switch (r.type) {
    case 'text': node = r.text; break;
    case 'link': node = link(r.url, r.text || r.url); break;
    case 'emoji': node = el('span', { class: 'emoji', title: `:${r.name}:` }, Object.hasOwn(emoji, r.name) ? emoji[r.name] : `:${r.name}:`); break;
    case 'date': {
      const shown = el('time', {}, formatDate(r.timestamp, r.format, r.fallback || ''));
      node = r.url ? link(r.url, shown) : shown;
      break;
    }
    case 'user': node = mention('@' + env.userName(r.user_id), true); break;
    case 'usergroup': node = mention('@' + r.usergroup_id, true); break;
    case 'channel': node = mention('#' + env.channelName(r.channel_id), false); break;
    case 'broadcast': node = mention('@' + r.range, true); break;
    default: node = `[${r.type}]`;
  }
  for (const [name, tag] of [['code', 'code'], ['strike', 's'], ['italic', 'i'], ['bold', 'b'], ['underline', 'u']]) {
    if (style[name]) node = el(tag, {}, node);
  }
  return node;
}
