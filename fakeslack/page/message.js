// A message in the list, its thread, and what it is made of.
import { el, icon } from './dom.js';
import { blocks } from './blocks.js';
import { mrkdwn } from './mrkdwn.js';
import { time, fullTime, dayLabel, sameDay } from './dates.js';

function body(m, env) {
  const b = el('div', { class: 'body' },
    m.blocks && m.blocks.length ? blocks(m.blocks, env) : el('div', { class: 'b-text' }, mrkdwn(m.text, env)));
  if (m.edited) { // at the end of the last words, as Slack has it
    const words = [...b.querySelectorAll('.b-text, .rt-section, .b-context')].pop() || b;
    words.append(el('span', { class: 'edited' }, ' (edited)'));
  }
  return b;
}

/** row is a message with the bot's face beside it. o: {channel: say where it is, fresh: it has just come, inThread}. */
export function row(m, env, o) {
  const at = new Date(m.at);
  const replies = m.thread_ts || o.inThread ? [] : env.replies(m);
  return el('article', { class: `msg${o.fresh ? ' fresh' : ''}`, 'aria-label': 'Message from Allo' },
    el('img', { class: 'face', src: '/demo/bot.svg', alt: '' }),
    el('div', { class: 'what' },
      el('div', { class: 'who' },
        el('b', {}, 'Allo'), el('span', { class: 'app' }, 'APP'),
        el('time', { title: fullTime(at) }, time(at)),
        o.channel ? el('button', { class: 'where', type: 'button', onclick: () => env.goTo(m.channel) }, env.isPrivate(m.channel) ? icon('lock') : '#', env.channelName(m.channel)) : null),
      m.broadcast && !o.inThread ? el('div', { class: 'replied' }, 'replied to a thread: ', opener(m, env)) : null,
      body(m, env),
      replies.length ? threadBar(m, replies, env) : null),
    el('div', { class: 'tools' },
      o.inThread ? null : el('button', { class: 'bare', type: 'button', title: 'Show the thread', 'aria-label': 'Show the thread', onclick: () => env.openThread(env.parent(m) || m) }, icon('thread')),
      el('button', { class: 'bare raw', type: 'button', title: 'What Slack was sent', 'aria-label': 'What Slack was sent', onclick: () => env.openRaw(m) }, icon('raw'))));
}

function opener(m, env) {
  const parent = env.parent(m);
  const label = parent ? brief(parent.text) : 'a message that is gone';
  return parent ? el('button', { class: 'aslink', type: 'button', onclick: () => env.openThread(parent) }, label) : label;
}

function brief(text) {
  const line = text.replace(/<[^|>]*\|([^>]*)>/g, '$1').split('\n')[0];
  return line.length > 70 ? line.slice(0, 69) + '…' : line;
}

function threadBar(m, replies, env) {
  const last = new Date(replies[replies.length - 1].at);
  const when = sameDay(last, new Date()) ? `today at ${time(last)}` : dayLabel(last);
  return el('button', { class: 'thread-bar', type: 'button', onclick: () => env.openThread(m) },
    el('img', { src: '/demo/bot.svg', alt: '' }),
    el('b', {}, replies.length === 1 ? '1 reply' : `${replies.length} replies`),
    el('span', {}, `Last reply ${when}`));
}

/** thread fills the panel with a message and its replies. */
export function thread(m, env, close) {
  const replies = env.replies(m);
  return [
    el('header', {}, el('h2', {}, 'Thread'), el('p', {}, '#' + env.channelName(m.channel)), close),
    el('div', { class: 'panel-body', tabindex: '0' },
      row(m, env, { inThread: true }),
      el('div', { class: 'count' }, el('span', {}, replies.length === 0 ? 'No replies yet' : replies.length === 1 ? '1 reply' : `${replies.length} replies`)),
      replies.map((r) => row(r, env, { inThread: true }))),
  ];
}

/** raw fills the panel with what Slack was sent. */
export function raw(m, env, close) {
  const part = (title, text, more) => [el('h3', {}, title), more ? el('p', { class: 'hint' }, more) : null, el('pre', {}, text)];
  return [
    el('header', {}, el('h2', {}, 'What Slack was sent'), el('p', {}, '#' + env.channelName(m.channel)), close),
    el('div', { class: 'panel-body raw', tabindex: '0' },
      part('What a screen reader hears', m.text || '(nothing)', 'The top-level text: also what notifications and search show.'),
      part('Pings, and what Slack would link by itself', m.pings ? m.pings.join('\n') : 'nothing'),
      part('Message', `channel   ${m.channel}\nts        ${m.ts}${m.thread_ts ? '\nthread_ts ' + m.thread_ts : ''}`),
      m.metadata ? part('Metadata', JSON.stringify(m.metadata, null, 2)) : null,
      m.blocks ? part('Blocks', JSON.stringify(m.blocks, null, 2)) : null),
  ];
}
