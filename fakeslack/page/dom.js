// Everything on the page is made here: elements and text, never markup from a string.

/** el makes an element: el('a', {class: 'x', href}, child, 'text', …). Children that are null are left out. */
export function el(tag, attributes = {}, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attributes)) {
    if (v === null || v === undefined || v === false) continue;
    if (k.startsWith('on')) e.addEventListener(k.slice(2), v);
    else e.setAttribute(k, v === true ? '' : v);
  }
  e.append(...children.flat().filter((c) => c !== null && c !== undefined));
  return e;
}

const shapes = {
  lock: 'M5 9V6.500a5 5 0 0 1 10 0V9h.500A1.500 1.500 0 0 1 17 10.500v6A1.500 1.500 0 0 1 15.500 18h-11A1.500 1.500 0 0 1 3 16.500v-6A1.500 1.500 0 0 1 4.500 9zm2 0h6V6.500a3 3 0 0 0-6 0z',
  send: 'M2.300 3.100c-.2-.7.500-1.300 1.200-1l14.200 7.100c.7.300.7 1.300 0 1.600L3.500 17.900c-.7.300-1.400-.300-1.200-1L4 11.300 11 10 4 8.700z',
  raw: 'M7.300 5.300 2.600 10l4.700 4.700 1.100-1.100L4.800 10l3.600-3.600zm5.400 0-1.100 1.100 3.600 3.600-3.600 3.600 1.100 1.100 4.700-4.700z',
  thread: 'M10 2.500c-4.400 0-8 2.900-8 6.500 0 2 1.100 3.800 2.900 5-.1 1-.5 2.100-1.300 3 1.700-.1 3.300-.8 4.400-1.700.6.100 1.300.2 2 .2 4.400 0 8-2.900 8-6.500s-3.600-6.500-8-6.500m0 1.500c3.700 0 6.500 2.300 6.500 5S13.700 14 10 14c-.8 0-1.500-.1-2.200-.3l-.4-.1-.3.300c-.4.400-.9.700-1.400 1 .2-.5.300-1.100.300-1.600v-.4l-.4-.2C4.200 11.700 3.500 10.400 3.500 9c0-2.700 2.800-5 6.500-5',
  close: 'm10 8.900 4.900-5 1.100 1.100-5 5 5 4.900-1.100 1.100-4.900-5-4.900 5L4 14.900 8.900 10 4 5l1.100-1z',
  all: 'M3 4h14v1.600H3zm0 5.200h14v1.600H3zm0 5.200h9V16H3z',
  down: 'm5 7.300 5 5 5-5 1.100 1.100L10 14.500 3.900 8.400z',
};

/** icon draws one of the shapes above, in the colour of the text. */
export function icon(name) {
  const ns = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(ns, 'svg');
  svg.setAttribute('viewBox', '0 0 20 20');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(ns, 'path');
  path.setAttribute('d', shapes[name]);
  path.setAttribute('fill', 'currentColor');
  svg.append(path);
  return svg;
}

/** link is a link that opens in a new tab and tells the other side nothing; text where the target is not to be opened. */
export function link(url, label, className) {
  if (!/^(https?:\/\/|mailto:)/i.test(url)) return document.createTextNode(typeof label === 'string' ? label : url);
  return el('a', { href: url, target: '_blank', rel: 'noopener noreferrer', class: className }, label);
}
