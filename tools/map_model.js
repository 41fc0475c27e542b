// The map's page, 1: the data and its words. Text goes into the page as text only, never as markup.
const data = JSON.parse(document.getElementById('data').textContent);
const $ = (id) => document.getElementById(id);
const FRAME = 4096, BLOCK = 512, SECTION = 32768;
const FREE = 0, TABLES = 1, DAMAGED = 3;
const ownerColours = {
  light: ['#2a78d6', '#1b9e77', '#e07b1f', '#7a4fd0', '#c0469a', '#c99700', '#4aa3c7', '#8a5a3b',
          '#6b8e23', '#d9534f'],
  dark: ['#3987e5', '#2ab890', '#f0903a', '#9f86f0', '#dd6fb8', '#e0b02e', '#4fa9cc', '#b98560',
         '#9db04d', '#f0736a'],
};

// ---- The cells: what the page was given, and what follows from where they lie.

function tablesBelow(end) {
  const section = Math.floor(end / SECTION), rest = end % SECTION;
  const head = section === 0 ? 192 : 64;
  return section * 576 + (section === 0 ? 0 : 128) + Math.min(rest, head) +
      Math.max(0, Math.min(rest - BLOCK, BLOCK));
}
const cellFrames = data.blocks_per_cell * BLOCK;
const count = Math.ceil(data.frames / cellFrames);
const cells = new Array(count);
{
  let i = 0;
  for (const entry of data.cells) {
    if (typeof entry === 'number') i += entry;
    else cells[i++] = entry;
  }
}
/** Cell i: frames by use, runs by order, owners. */
function read(i) {
  const start = i * cellFrames, end = Math.min(start + cellFrames, data.frames);
  const [damaged, objects, uses, runs, shares] = cells[i] || [0, 0, [], [], []];
  const of = new Array(data.uses.length).fill(0);
  for (let k = 0; k < uses.length; k += 2) of[uses[k]] = uses[k + 1];
  of[TABLES] = cells[i] ? of[TABLES] : tablesBelow(end) - tablesBelow(start);
  of[FREE] = 0;
  of[FREE] = end - start - of.reduce((a, b) => a + b, 0);
  let main = FREE, most = 0;
  for (let use = 2; use < of.length; use++) if (of[use] > most) most = of[main = use];
  if (most === 0 && 2 * of[TABLES] >= end - start) main = TABLES;
  const usable = end - start - of[TABLES] - of[2];
  return {i, start, end, damaged, objects, of, runs, shares, main, usable,
          used: usable - of[FREE], fill: usable ? (usable - of[FREE]) / usable : 0};
}
const rank = new Map(data.objects.map((object, index) => [object.id, index]));
const summary = Array.from({length: count}, (_, i) => {
  const cell = read(i);
  return {main: cell.main, fill: cell.fill, damaged: cell.damaged > 0,
          owner: cell.shares.length ? cell.shares[0] : 0};
});
const label = (id) => rank.has(id) ? data.objects[rank.get(id)].label : `object ${id}`;

// ---- Words.

function bytes(n) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let unit = 0;
  while (n >= 1024 && unit < 5) { n /= 1024; unit++; }
  return `${Number.isInteger(n) ? n : n.toFixed(1)} ${units[unit]}`;
}
const grouped = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, '\u202f');
const percent = (part, whole) => `${(whole ? 100 * part / whole : 0).toFixed(1)} %`;
const plural = (n, word) => `${grouped(n)} ${word}${n === 1 ? '' : 's'}`;
function span(cell, size) {
  const first = Math.floor(cell.start / size), last = Math.floor((cell.end - 1) / size);
  return first === last ? grouped(first) : `${grouped(first)} \u2013 ${grouped(last)}`;
}
function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}
function swatch(colour) {
  const made = element('span', {className: 'swatch'});
  made.style.background = colour;
  return made;
}
function bar(parts, whole) {
  const made = element('div', {className: 'bar'});
  for (const [colour, n] of parts) {
    const part = element('i');
    part.style.background = colour;
    part.style.width = `${100 * n / whole}%`;
    made.append(part);
  }
  return made;
}

// ---- Light and dark.

const themes = ['auto', 'light', 'dark'];
const system = matchMedia('(prefers-color-scheme: dark)');
let theme = 'auto';
const scheme = () => theme !== 'auto' ? theme : system.matches ? 'dark' : 'light';
const useColour = (use) => data.uses[use][scheme()];
const ownerColour = (id) => {
  const colours = ownerColours[scheme()], at = rank.get(id);
  return at < colours.length ? colours[at] : scheme() === 'dark' ? '#7d8894' : '#8894a0';
};
function setTheme(to) {
  theme = to;
  document.documentElement.dataset.theme = scheme();
  $('theme').textContent = `Theme: ${theme}`;
  buildSide();
  draw();
}
