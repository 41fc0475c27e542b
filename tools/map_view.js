// The map's page, 2: the picture.
// ---- The canvas, in pixels of CSS. The view begins at (left, top) of the whole map.

const canvas = $('map'), ink = canvas.getContext('2d');
// A cell is `pitch` wide, and `tall` times as high.
const view = {columns: 64, pitch: 12, tall: 1, left: 0, top: 0, fit: 12};
const rise = () => view.pitch * view.tall;
const gap = () => view.pitch > 5 ? Math.min(4, Math.max(1, Math.round(view.pitch / 10))) : 0;
let mode = 'use', wanted = null, hovered = -1, selected = -1, pending = false;
const MARGIN = 76, PAD = 14;

function layOut() {
  const width = Math.max(60, canvas.clientWidth - MARGIN - PAD);
  const height = Math.max(60, canvas.clientHeight - 2 * PAD);
  // A power of two of columns, so that sections stand below each other: the one that fills most.
  const STRETCH = 1.6;
  let most = 0;
  for (let columns = 1; columns < 2 * count && columns <= 4096; columns *= 2) {
    const rows = Math.ceil(count / columns);
    const pitch = Math.min(width / columns, height / rows * STRETCH, 72);
    const tall = Math.max(1 / STRETCH, Math.min(height / rows / pitch, pitch < 72 ? STRETCH : 1));
    const area = columns * pitch * rows * pitch * tall;
    if (area < most * 0.999) continue;
    most = area;
    Object.assign(view, {columns, fit: pitch, tall});
  }
}
function fit() {
  layOut();
  view.pitch = view.fit;
  view.left = view.top = 0;
  draw();
}
function clampView() {
  const width = canvas.clientWidth - MARGIN - PAD, height = canvas.clientHeight - 2 * PAD;
  const whole = view.columns * view.pitch, high = Math.ceil(count / view.columns) * rise();
  view.left = Math.max(0, Math.min(view.left, whole - width));
  view.top = Math.max(0, Math.min(view.top, high - height));
}
function zoom(by, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
  const pitch = Math.max(view.fit, Math.min(view.pitch * by, 160));
  const ratio = pitch / view.pitch;
  view.left = (view.left + x - MARGIN) * ratio - (x - MARGIN);
  view.top = (view.top + y - PAD) * ratio - (y - PAD);
  view.pitch = pitch;
  draw();
}
function place(i) {
  return {x: MARGIN + (i % view.columns) * view.pitch - view.left,
          y: PAD + Math.floor(i / view.columns) * rise() - view.top};
}
function cellAt(x, y) {
  if (x < MARGIN || y < PAD) return -1;
  const column = Math.floor((x - MARGIN + view.left) / view.pitch);
  const i = Math.floor((y - PAD + view.top) / rise()) * view.columns + column;
  return column < view.columns && i < count ? i : -1;
}
function colourOf(cell) {
  if (mode === 'owner' && cell.owner) return [ownerColour(cell.owner), 0.3 + 0.7 * cell.fill];
  if (mode === 'fill') return [useColour(4), cell.fill];
  if (cell.main === FREE) return [null, 0];
  return [useColour(cell.main), cell.main < 4 ? 1 : 0.3 + 0.7 * cell.fill];
}
function owns(i) {
  const shares = cells[i] ? cells[i][4] : [];
  for (let k = 0; k < shares.length; k += 2) if (shares[k] === wanted) return true;
  return false;
}
function drawCell(i, style) {
  const {x, y} = place(i), cell = summary[i];
  const wide = view.pitch - gap(), high = rise() - gap();
  ink.globalAlpha = wanted !== null && !owns(i) ? 0.2 : 1;
  ink.fillStyle = useColour(FREE);
  ink.fillRect(x, y, wide, high);
  const [colour, strength] = colourOf(cell);
  if (colour !== null && strength > 0) {
    ink.globalAlpha *= strength;
    ink.fillStyle = colour;
    ink.fillRect(x, y, wide, high);
  }
  ink.globalAlpha = 1;
  if (cell.damaged) {
    ink.strokeStyle = useColour(DAMAGED);
    ink.lineWidth = Math.max(1, Math.min(3, wide / 6));
    const inset = ink.lineWidth / 2;
    ink.strokeRect(x + inset, y + inset, wide - 2 * inset, high - 2 * inset);
  }
  if (view.pitch >= 64) drawInside(read(i), x, y, wide, high, style);
}
/** Of a cell that is large enough: where it lies, how full it is, of what. */
function drawInside(cell, x, y, wide, high, style) {
  let at = x + 6;
  ink.fillStyle = style.card;
  ink.globalAlpha = 0.85;
  ink.fillRect(x + 4, y + high - 14, wide - 8, 9);
  ink.globalAlpha = 1;
  for (let use = 1; use < cell.of.length; use++) {
    const part = (wide - 12) * cell.of[use] / (cell.end - cell.start);
    ink.fillStyle = useColour(use);
    ink.fillRect(at, y + high - 12, part, 5);
    at += part;
  }
  ink.fillStyle = style.card;
  ink.globalAlpha = 0.85;
  ink.fillRect(x + 4, y + 4, wide - 8, 34);
  ink.globalAlpha = 1;
  ink.fillStyle = style.ink;
  ink.textAlign = 'left';
  ink.fillText(grouped(cell.start), x + 7, y + 17, wide - 14);
  ink.fillText(percent(cell.used, cell.usable), x + 7, y + 32, wide - 14);
}
function outline(i, colour, width) {
  if (i < 0) return;
  const {x, y} = place(i);
  ink.strokeStyle = colour;
  ink.lineWidth = width;
  ink.strokeRect(x - 1, y - 1, view.pitch - gap() + 2, rise() - gap() + 2);
}
function paint() {
  pending = false;
  const ratio = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  clampView();
  const css = getComputedStyle(document.documentElement);
  const style = {ink: css.getPropertyValue('--ink'), soft: css.getPropertyValue('--soft'),
                 card: css.getPropertyValue('--card')};
  ink.setTransform(ratio, 0, 0, ratio, 0, 0);
  ink.clearRect(0, 0, width, height);
  ink.font = '11px ui-monospace, "DejaVu Sans Mono", monospace';
  ink.save();
  ink.beginPath();
  ink.rect(MARGIN - 2, 0, width - MARGIN + 2, height);
  ink.clip();
  const first = Math.max(0, Math.floor((view.top - PAD) / rise()));
  const last = Math.ceil((view.top + height) / rise());
  let drawn = 0;
  for (let row = first; row < last; row++) {
    for (let column = 0; column < view.columns; column++) {
      const i = row * view.columns + column;
      if (i >= count) break;
      drawCell(i, style);
      drawn++;
    }
  }
  outline(hovered, style.soft, 1.5);
  outline(selected, style.ink, 2.5);
  ink.restore();
  ink.fillStyle = style.soft;
  ink.textAlign = 'right';
  const every = Math.max(1, Math.ceil(16 / rise()));
  for (let row = first; row < last && row * view.columns < count; row++) {
    const y = PAD + row * rise() - view.top + Math.min(rise() / 2, 30) + 4;
    if (row % every === 0 && y > 8) {
      ink.fillText(bytes(row * view.columns * cellFrames * FRAME), MARGIN - 8, y, MARGIN - 12);
    }
  }
  canvas.dataset.cells = count;
  canvas.dataset.drawn = drawn;
}
function draw() {
  if (pending) return;
  pending = true;
  requestAnimationFrame(paint);
}
