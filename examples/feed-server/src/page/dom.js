// Elements, made in one place so that text is always text: nothing here or elsewhere reads markup.

/** An element with properties, `on…` listeners, `aria…`/`data-…` attributes and children. */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name.includes('-') || name === 'role' || name === 'for') element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** A coloured disc with the first letter of a name. */
export function avatar(name) {
  let hue = 0;
  for (const letter of name) hue = (hue * 31 + letter.codePointAt(0)) % 360;
  const disc = el('span', { className: 'avatar', 'aria-hidden': 'true' }, name.slice(0, 1).toUpperCase());
  disc.style.setProperty('--hue', String(hue));
  return disc;
}

const UNITS = [['year', 31_536_000], ['month', 2_592_000], ['day', 86_400], ['hour', 3_600], ['minute', 60]];
const relative = new Intl.RelativeTimeFormat(document.documentElement.lang || 'en', { style: 'narrow' });

/** "5 min. ago" for milliseconds since 1970. */
export function ago(millis) {
  const seconds = Math.round((millis - Date.now()) / 1000);
  for (const [unit, length] of UNITS) {
    if (Math.abs(seconds) >= length) return relative.format(Math.trunc(seconds / length), unit);
  }
  return 'now';
}

/** Whether id `a` is larger, so newer, than `b`. They are 64-bit numbers: too large for a Number. */
export function isNewer(a, b) {
  return a.length === b.length ? a > b : a.length > b.length;
}
