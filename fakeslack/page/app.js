// The workspace: what is known of it, and which of it is shown. The server pushes, see events in page.go.
import { el, icon } from './dom.js';
import { dayLabel, sameDay } from './dates.js';
import { row, thread, raw } from './message.js';
import { compose } from './compose.js';
import { mood } from './mood.js';

const byId = (id) => document.getElementById(id);
const most = 400; // rows kept on the page
const remembered = 5000; // messages kept behind it

const world = {
  state: { channels: [], calls: [] },
  messages: new Map(), // key -> message
  unread: new Map(), // channel -> count
  view: '', // a channel's id; '' is all
  open: null, // what the panel shows: {kind: 'thread'|'raw', key}
};
const key = (m) => `${m.channel}/${m.ts}`;
const channel = (id) => world.state.channels.find((c) => c.id === id);
const env = {
  channelName: (id) => channel(id)?.name || id,
  isPrivate: (id) => Boolean(channel(id)?.private),
  userName: (id) => (id === 'U0FAKESLACK' ? 'Allo' : id),
  replies: (m) => [...world.messages.values()].filter((r) => r.thread_ts === m.ts && r.channel === m.channel && r.ts !== m.ts).sort(order),
  parent: (m) => world.messages.get(`${m.channel}/${m.thread_ts}`),
  openThread: (m) => show('thread', m),
  openRaw: (m) => show('raw', m),
  goTo: (id) => { location.hash = '#' + env.channelName(id); },
};
const order = (a, b) => (a.ts < b.ts ? -1 : a.ts > b.ts ? 1 : 0);
const top = (m) => !m.thread_ts || m.broadcast;
const inView = (m) => top(m) && (world.view === '' ? channel(m.channel) : m.channel === world.view);

/* Messages */

const log = byId('log');
const atEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 80;
const toEnd = () => { log.scrollTop = log.scrollHeight; byId('newer').hidden = true; };

function makeRow(m, fresh) {
  const r = row(m, env, { channel: world.view === '', fresh });
  r.dataset.key = key(m);
  r.dataset.ts = m.ts;
  return r;
}

const findRow = (k) => log.querySelector(`.msg[data-key="${CSS.escape(k)}"]`);

function drawAll() {
  const shown = [...world.messages.values()].filter(inView).sort(order).slice(-most);
  const c = channel(world.view);
  log.replaceChildren(intro(c), ...shown.map((m) => makeRow(m, false)));
  divide();
  toEnd();
}

function intro(c) {
  if (!c) {
    return el('div', { class: 'intro' }, el('h3', {}, 'All channels'),
      el('p', {}, 'Every message, wherever it was posted, in the order it came. Choose a channel to see that one alone.'));
  }
  return el('div', { class: 'intro' }, el('h3', {}, c.private ? icon('lock') : '# ', c.name),
    el('p', {}, `This is the very beginning of the ${c.name} channel.`));
}

/** divide puts a line between days. */
function divide() {
  for (const d of log.querySelectorAll('.day')) d.remove();
  let last = null;
  for (const r of log.querySelectorAll('.msg')) {
    const at = new Date(world.messages.get(r.dataset.key).at);
    if (!last || !sameDay(last, at)) r.before(el('div', { class: 'day', role: 'separator' }, el('span', {}, dayLabel(at))));
    last = at;
  }
}

function take(list) {
  const stick = atEnd();
  let added = false;
  for (const m of list) {
    const known = world.messages.get(key(m));
    if (m.gone) {
      world.messages.delete(key(m));
      findRow(key(m))?.remove();
      if (known?.thread_ts) redraw(env.parent(known));
      continue;
    }
    world.messages.set(key(m), m);
    if (!known && m.channel !== world.view) world.unread.set(m.channel, (world.unread.get(m.channel) || 0) + 1);
    if (m.thread_ts) redraw(env.parent(m));
    if (!inView(m)) continue;
    if (known && findRow(key(m))) {
      redraw(m);
      continue;
    }
    added = true;
    let before = null;
    for (let r = log.lastElementChild; r && (!r.dataset.ts || r.dataset.ts > m.ts); r = r.previousElementSibling) {
      if (r.dataset.ts) before = r;
      if (!r.dataset.ts && !r.classList.contains('day')) break;
    }
    log.insertBefore(makeRow(m, true), before);
  }
  for (const k of world.messages.keys()) {
    if (world.messages.size <= remembered) break;
    if (!findRow(k)) world.messages.delete(k);
  }
  const rows = log.querySelectorAll('.msg');
  for (let i = 0; i < rows.length - most; i++) rows[i].remove();
  divide();
  if (stick) toEnd();
  else if (added) byId('newer').hidden = false;
  drawLists();
  drawPanel();
}

function redraw(m) {
  const old = m && findRow(key(m));
  if (old) old.replaceWith(makeRow(m, false));
}

/* Channels */

function drawLists() {
  const item = (id, mark, name, unread, more) => {
    const active = world.view === id;
    return el('li', {}, el('a', {
      class: `row${active ? ' active' : ''}${unread ? ' unread' : ''}${more || ''}`,
      href: id === '' ? '#' : '#' + name, 'aria-current': active ? 'page' : null,
    }, el('span', { class: 'mark' }, mark), el('span', { class: 'name' }, name),
    unread ? el('span', { class: 'badge', 'aria-label': `${unread} new` }, unread > 99 ? '99+' : String(unread)) : null));
  };
  byId('views').replaceChildren(item('', icon('all'), 'All channels', 0));
  byId('channels').replaceChildren(...world.state.channels.map((c) => item(
    c.id, c.private ? icon('lock') : '#', c.name, world.unread.get(c.id) || 0, (c.archived ? ' archived' : '') + (c.member ? '' : ' absent'))));
}

function drawHead() {
  const c = channel(world.view);
  byId('head').replaceChildren(
    el('h2', {}, c ? (c.private ? icon('lock') : el('span', { class: 'hash' }, '#')) : null, el('span', { class: 'title' }, c ? c.name : 'All channels')),
    el('p', {}, !c ? `${world.state.channels.length} channels` : c.archived ? 'archived' : c.member ? 'Allo is a member' : 'Allo is not a member'));
  document.title = (c ? '#' + c.name : 'All channels') + ' · ' + byId('workspace').textContent;
}

function choose() {
  const name = decodeURIComponent(location.hash.slice(1));
  const c = world.state.channels.find((x) => x.name === name || x.id === name);
  world.view = c ? c.id : '';
  if (c) world.unread.delete(c.id);
  document.body.classList.remove('side-open');
  byId('menu').setAttribute('aria-expanded', 'false');
  drawLists();
  drawHead();
  drawAll();
  mood(world.state, c);
}

/* The panel on the right */

function show(kind, m) {
  world.open = m ? { kind, key: key(m) } : null;
  drawPanel();
}

function drawPanel() {
  const panel = byId('panel');
  const m = world.open && world.messages.get(world.open.key);
  panel.hidden = !m;
  document.body.classList.toggle('panel-open', Boolean(m));
  if (!m) return;
  const close = el('button', { class: 'bare', 'aria-label': 'Close', onclick: () => show() }, icon('close'));
  panel.replaceChildren(...(world.open.kind === 'thread' ? thread(m, env, close) : raw(m, env, close)));
}

/* What the server says */

function notices(list) {
  byId('notices').replaceChildren(...list.map((n) => el('div', { class: `notice ${n.level === 'error' ? 'error' : 'info'}` },
    n.level === 'error' ? el('pre', {}, n.text) : el('p', {}, n.text))));
}

function setState(state) {
  const names = (s) => JSON.stringify(s.channels);
  const changed = names(state) !== names(world.state);
  world.state = state;
  if (changed) { drawLists(); drawHead(); if (!channel(world.view) && location.hash.length > 1) choose(); }
  mood(state, channel(world.view));
}

function connect() {
  const source = new EventSource('/demo/events');
  const on = (name, f) => source.addEventListener(name, (e) => f(JSON.parse(e.data)));
  on('hello', (h) => {
    document.body.dataset.ready = 'true';
    byId('online').textContent = '';
    const title = h.title || 'Fake Slack';
    byId('workspace').replaceChildren(el('h1', {}, title), icon('down'));
    world.state = h.state;
    world.messages = new Map(h.messages.map((m) => [key(m), m]));
    notices(h.notices);
    compose(h.webhook, h.samples);
    choose();
  });
  on('messages', take);
  on('state', setState);
  on('notices', notices);
  source.onerror = () => { byId('online').textContent = 'reconnecting…'; };
  addEventListener('pagehide', () => source.close(), { once: true }); // a page kept for "back" must hold no connection
}

byId('newer').addEventListener('click', toEnd);
log.addEventListener('scroll', () => { if (atEnd()) byId('newer').hidden = true; });
byId('menu').addEventListener('click', () => {
  const open = document.body.classList.toggle('side-open');
  byId('menu').setAttribute('aria-expanded', String(open));
});
document.addEventListener('keydown', (e) => {
  if (e.key !== 'Escape') return;
  if (world.open) show();
  document.body.classList.remove('side-open');
});
addEventListener('hashchange', choose);
addEventListener('pageshow', (e) => { if (e.persisted) connect(); });
connect();
