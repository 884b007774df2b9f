// The form that sends an event to the bot's webhook, as Allo would.
import { el, icon } from './dom.js';

const form = document.getElementById('compose');

// Where each easy field lives in data, by topic; the first of the paths that is there, or else the first, is written.
const fields = [
  { name: 'from_name', label: 'From, name', paths: [['from_name'], ['name']] },
  { name: 'from_number', label: 'From, number', paths: [['from_number'], ['numbers', 0]] },
  { name: 'tag', label: 'Tag', paths: [['tag'], ['tags', 0]] },
  { name: 'words', label: 'Summary or text', paths: [['summary'], ['content'], ['company']] },
];

let webhook = '';
let parts = null;

/** compose fills the form; without a webhook there is none. */
export function compose(url, samples) {
  webhook = url;
  form.hidden = !url;
  if (!url || parts) return;
  const input = (name) => el('input', { name, autocomplete: 'off', spellcheck: 'false', oninput: () => write(name) });
  parts = {
    select: el('select', { 'aria-label': 'Event to send', onchange: () => load(samples[parts.select.value]) },
      samples.map((s, i) => el('option', { value: String(i) }, s.name))),
    topic: input('topic'),
    easy: Object.fromEntries(fields.map((f) => [f.name, input(f.name)])),
    fresh: el('input', { type: 'checkbox', checked: true }),
    json: el('textarea', { name: 'json', rows: '9', spellcheck: 'false', 'aria-label': 'The event as JSON', oninput: read }),
    answer: el('output', { 'aria-live': 'polite' }),
    send: el('button', { class: 'send', type: 'submit', title: 'Send it to the webhook' }, icon('send'), el('span', {}, 'Send')),
  };
  const edit = el('button', { type: 'button', class: 'edit', 'aria-expanded': 'false', onclick: () => {
    const open = form.classList.toggle('open');
    edit.setAttribute('aria-expanded', String(open));
    edit.textContent = open ? 'Less' : 'Edit';
  } }, 'Edit');
  const row = (label, control) => el('label', {}, el('span', {}, label), control);
  form.replaceChildren(
    el('div', { class: 'box' },
      el('div', { class: 'bar' }, el('span', { class: 'lead' }, 'Send an event'), parts.select, edit, parts.send),
      el('div', { class: 'sheet' },
        el('div', { class: 'easy' }, row('Topic', parts.topic), fields.map((f) => row(f.label, parts.easy[f.name]))),
        parts.json)),
    el('div', { class: 'foot' }, el('label', { class: 'fresh' }, parts.fresh, ' new id and time on each send'), parts.answer));
  load(samples[0]);
}

function load(sample) {
  parts.json.value = sample ? pretty(sample.json) : '{\n  "topic": "",\n  "data": {}\n}';
  parts.answer.textContent = '';
  read();
}

function pretty(text) {
  try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; }
}

function envelope() {
  try {
    const e = JSON.parse(parts.json.value);
    return e && typeof e === 'object' && !Array.isArray(e) ? e : null;
  } catch { return null; }
}

const has = (o, path) => path.reduce((v, k) => (v !== null && typeof v === 'object' ? v[k] : undefined), o);
const place = (data, f) => f.paths.find((p) => has(data, p.slice(0, 1)) !== undefined) || f.paths[0];

/** read fills the easy fields from the JSON. */
function read() {
  const e = envelope();
  form.classList.toggle('broken', !e);
  if (!e) return;
  parts.topic.value = String(e.topic ?? '');
  for (const f of fields) {
    const v = has(e.data, place(e.data || {}, f));
    parts.easy[f.name].value = v === undefined || v === null || typeof v === 'object' ? '' : String(v);
  }
}

/** write puts an easy field into the JSON. */
function write(name) {
  const e = envelope();
  if (!e) return;
  if (name === 'topic') {
    e.topic = parts.topic.value;
  } else {
    const f = fields.find((x) => x.name === name);
    if (e.data === null || typeof e.data !== 'object') e.data = {};
    const path = place(e.data, f);
    if (path.length === 2 && !Array.isArray(e.data[path[0]])) e.data[path[0]] = [];
    const into = path.length === 2 ? e.data[path[0]] : e.data;
    into[path[path.length - 1]] = parts.easy[name].value;
  }
  parts.json.value = JSON.stringify(e, null, 2);
}

/** renew gives the event an id and a time of its own: the same event twice is a duplicate. */
function renew(e) {
  if (e.data === null || typeof e.data !== 'object' || Array.isArray(e.data)) return;
  const kind = typeof e.data.id === 'string' ? e.data.id.split('_')[0] : 'evt';
  e.data.id = `${kind}_${crypto.getRandomValues(new Uint32Array(2)).join('').slice(0, 14)}`;
  for (const k of ['start_date', 'sent_at']) if (e.data[k]) e.data[k] = new Date().toISOString().replace(/\.\d+Z/, 'Z');
}

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const e = envelope();
  if (e && parts.fresh.checked) {
    renew(e);
    parts.json.value = JSON.stringify(e, null, 2);
  }
  parts.send.disabled = true;
  const began = performance.now();
  try {
    const r = await fetch(webhook, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: parts.json.value });
    const text = (await r.text()).trim();
    parts.answer.className = r.ok ? 'good' : 'bad';
    parts.answer.textContent = `${r.status} ${text.slice(0, 300)} (${Math.max(1, Math.round(performance.now() - began))} ms)`;
  } catch (err) {
    parts.answer.className = 'bad';
    parts.answer.textContent = `no answer: ${err.message}`;
  } finally {
    parts.send.disabled = false;
  }
});
