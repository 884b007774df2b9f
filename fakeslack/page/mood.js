// The buttons that make Slack misbehave, and the latest calls as it saw them.
import { el } from './dom.js';

const box = document.getElementById('faults');
let now = { state: null, channel: null };
let ticking = 0;

/** mood shows the state of the faults; channel is the one on view, if it is one. */
export function mood(state, channel) {
  now = { state, channel };
  const left = Math.ceil((state.limited_until - Date.now()) / 1000);
  const limited = state.limited_until > 0 && left > 0;
  const set = (kind, on, label, off) => {
    const b = box.querySelector(`[data-fault="${kind}"]`);
    b.setAttribute('aria-pressed', String(on));
    b.textContent = label;
    b.disabled = Boolean(off);
  };
  set('limit', state.limiting || limited, limited ? `429 for ${left} s more` : state.limiting ? '429 at next message' : 'Rate limit, 10 s', limited);
  set('lose', state.losing, state.losing ? 'Next answer gets lost' : 'Lose next answer');
  set('outage', state.outage, state.outage ? 'End the outage' : 'Outage');
  set('archive', Boolean(channel?.archived), channel?.archived ? `Unarchive #${channel.name}` : channel ? `Archive #${channel.name}` : 'Archive a channel', !channel);
  clearTimeout(ticking);
  if (limited) ticking = setTimeout(() => mood(now.state, now.channel), 500);
  document.getElementById('calls').replaceChildren(...state.calls.slice(-4).map((c) => {
    const good = !c.err && !c.fault;
    const outcome = c.fault && !c.err ? `${c.status || ''} ${c.fault}`.trim() : c.err || 'ok';
    return el('li', { class: good ? '' : 'bad' },
      el('span', {}, c.method.replace('conversations.', 'conv.')), el('span', {}, c.channel), el('b', {}, outcome));
  }));
}

box.addEventListener('click', (e) => {
  const b = e.target.closest('[data-fault]');
  if (!b || !now.state) return;
  fetch('/demo/fault', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ kind: b.dataset.fault, on: b.getAttribute('aria-pressed') !== 'true', channel: now.channel?.id || '' }),
  });
});
