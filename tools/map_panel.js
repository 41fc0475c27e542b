// The map's page, 3: what is told beside the picture, and what hands and keys do.
// ---- What lies there.

function showDetail(i) {
  const panel = $('detail');
  panel.replaceChildren();
  panel.dataset.cell = i;
  if (i < 0) {
    panel.append(element('h2', {textContent: 'Nothing is selected'}),
        element('p', {className: 'note', textContent: 'Point at a cell, or go there by keys.'}));
    return;
  }
  const cell = read(i), frames = cell.end - cell.start;
  const many = frames > BLOCK;
  panel.append(element('h2', {textContent: `Page block${many ? 's' : ''} ${span(cell, BLOCK)}`}));
  const list = element('dl');
  const row = (name, text, id) => list.append(element('dt', {textContent: name}),
      element('dd', {textContent: text, id: id || ''}));
  row('pfn', span(cell, 1), 'detail-pfn');
  row(`section${Math.floor((cell.end - 1) / SECTION) > Math.floor(cell.start / SECTION) ? 's' : ''}`,
      span(cell, SECTION), 'detail-section');
  row('bytes', `${bytes(frames * FRAME)} from 0x${(cell.start * FRAME).toString(16)}`, 'detail-bytes');
  row('used', `${grouped(cell.used)} of ${plural(cell.usable, 'frame')}, ` +
      percent(cell.used, cell.usable), 'detail-used');
  if (cell.damaged) {
    list.append(element('dt', {textContent: 'damaged'}),
        element('dd', {className: 'bad', textContent: plural(cell.damaged, 'word')}));
  }
  const present = [...data.uses.keys()].slice(1).concat(FREE).filter((use) => cell.of[use] > 0);
  panel.append(list, bar(present.filter((use) => use !== FREE)
      .map((use) => [useColour(use), cell.of[use]]), frames));
  const table = element('table', {id: 'detail-uses'});
  for (const use of present) {
    table.append(element('tr', {},
        element('td', {}, swatch(useColour(use)), ` ${data.uses[use].name}`),
        element('td', {textContent: plural(cell.of[use], 'frame')}),
        element('td', {textContent: bytes(cell.of[use] * FRAME)})));
  }
  panel.append(element('h3', {textContent: 'Uses'}), table);
  if (cell.shares.length) panel.append(...ownersOf(cell));
  if (cell.runs.length) panel.append(...runsOf(cell));
}
function ownersOf(cell) {
  const table = element('table', {id: 'detail-owners'});
  for (let k = 0; k < cell.shares.length; k += 2) {
    table.append(element('tr', {},
        element('td', {}, swatch(ownerColour(cell.shares[k])), ' ',
            element('bdi', {textContent: label(cell.shares[k])})),
        element('td', {textContent: plural(cell.shares[k + 1], 'frame')})));
  }
  const more = cell.objects - cell.shares.length / 2;
  if (more > 0) table.append(element('tr', {}, element('td', {textContent: `and ${more} more`})));
  return [element('h3', {textContent: 'Owners'}), table];
}
function runsOf(cell) {
  const runs = new Array(10).fill(0);
  for (let k = 0; k < cell.runs.length; k += 2) runs[cell.runs[k]] = cell.runs[k + 1];
  const most = Math.max(...runs), chart = element('div', {className: 'orders'});
  runs.forEach((n, order) => {
    const column = element('i');
    column.style.height = `${Math.round(40 * n / most)}px`;
    chart.append(element('div', {title: `${plural(n, 'run')} of order ${order}, ` +
        `${bytes(FRAME * 2 ** order)} each`}, column, String(order)));
  });
  return [element('h3', {textContent: `Runs by order: ${plural(runs.reduce((a, b) => a + b), 'run')}`}),
          chart];
}
function select(i, reveal) {
  selected = i;
  showDetail(i);
  if (i >= 0) {
    const {x, y} = place(i), right = canvas.clientWidth - PAD, low = canvas.clientHeight - PAD;
    if (reveal && (x < MARGIN || x + view.pitch > right)) {
      view.left += x - (MARGIN + right - view.pitch) / 2;
    }
    if (reveal && (y < PAD || y + rise() > low)) view.top += y - (PAD + low - rise()) / 2;
    history.replaceState(null, '', `#pfn=${i * cellFrames}`);
  }
  draw();
}
function hover(i, x, y) {
  const tip = $('tip');
  tip.hidden = i < 0;
  if (i >= 0) {
    const cell = read(i);
    const owner = cell.shares.length ? `\n${label(cell.shares[0])}` : '';
    tip.textContent = `pfn ${span(cell, 1)}\n${data.uses[cell.main].name}, ` +
        `${percent(cell.used, cell.usable)} used${owner}`;
    tip.style.left = `${Math.min(x + 14, canvas.clientWidth - 200)}px`;
    tip.style.top = `${y + 18}px`;
  }
  if (i === hovered) return;
  hovered = i;
  if (selected < 0) showDetail(i);
  draw();
}

// ---- What stands around the map.

function buildSide() {
  const total = data.total, whole = data.frames;
  const usable = whole - total[TABLES] - total[2];
  $('path').replaceChildren(element('bdi', {textContent: data.path}));
  $('tiles').replaceChildren(...[
    ['size', bytes(whole * FRAME)], ['used', percent(usable - total[FREE], usable)],
    ['free', bytes(total[FREE] * FRAME)], ['owners', grouped(data.objects.length)],
    ['damaged', grouped(data.damaged)],
  ].map(([name, text]) => element('div', {}, element('dt', {textContent: name}),
      element('dd', {textContent: text, className: name === 'damaged' && data.damaged ? 'bad' : ''}))));
  $('warnings').hidden = data.warnings.length === 0;
  $('warnings').replaceChildren(...data.warnings.map((text) => element('li', {textContent: text})));
  buildLegend(total);
  $('owners').replaceChildren(...data.objects.slice(0, 200).map(ownerRow));
  const rest = data.objects.length - 200;
  $('unlisted').textContent = [rest > 0 ? `and ${plural(rest, 'owner')} more` : '',
      data.frames_unlisted > 0 ? `${plural(data.frames_unlisted, 'frame')} of others` : '']
      .filter(Boolean).join('; ');
  if (selected >= 0) showDetail(selected);
}
function buildLegend(total) {
  const item = (colour, ...text) => element('li', {}, swatch(colour), ...text);
  let items = [];
  if (mode === 'use') {
    items = data.uses.map((use, k) => [use, k]).filter(([, k]) => total[k] > 0).map(([use, k]) =>
        item(useColour(k), use.name, element('span', {className: 'number',
                                                     textContent: bytes(total[k] * FRAME)})));
    items.push(element('li', {className: 'note', textContent: 'the stronger, the fuller'}));
  } else if (mode === 'owner') {
    items = data.objects.slice(0, 10).map((object) =>
        item(ownerColour(object.id), element('bdi', {textContent: object.label})));
    items.push(element('li', {className: 'note', textContent: 'the largest owner in a cell'}));
  } else {
    const blue = useColour(4);
    const ramp = element('span', {className: 'swatch'});
    ramp.style.cssText = `width:120px;background:linear-gradient(90deg,${useColour(FREE)},${blue})`;
    items = [element('li', {}, 'empty', ramp, 'full')];
  }
  if (data.damaged > 0) items.push(item(useColour(DAMAGED), 'outlined: something is damaged'));
  $('legend').replaceChildren(...items);
}
function ownerRow(object) {
  const button = element('button', {type: 'button', title: 'Show only where it lies'},
      swatch(ownerColour(object.id)), element('bdi', {textContent: object.label}),
      element('span', {className: 'number', textContent: bytes(object.frames * FRAME)}),
      bar([[ownerColour(object.id), object.frames]], data.objects[0].frames));
  button.setAttribute('aria-pressed', String(wanted === object.id));
  button.onclick = () => {
    wanted = wanted === object.id ? null : object.id;
    for (const other of $('owners').querySelectorAll('button')) {
      other.setAttribute('aria-pressed', String(other === button && wanted !== null));
    }
    draw();
  };
  return element('li', {}, button);
}

// ---- Pointer, keys, controls.

let drag = null;
canvas.onpointerdown = (event) => {
  drag = {x: event.offsetX, y: event.offsetY, left: view.left, top: view.top, moved: false};
  canvas.setPointerCapture(event.pointerId);
};
canvas.onpointermove = (event) => {
  const {offsetX: x, offsetY: y} = event;
  if (drag && Math.hypot(x - drag.x, y - drag.y) > 4) drag.moved = true;
  if (!drag || !drag.moved) return hover(cellAt(x, y), x, y);
  canvas.classList.add('drag');
  view.left = drag.left - (x - drag.x);
  view.top = drag.top - (y - drag.y);
  hover(-1);
  draw();
};
canvas.onpointerup = (event) => {
  if (drag && !drag.moved) select(cellAt(event.offsetX, event.offsetY), false);
  drag = null;
  canvas.classList.remove('drag');
};
canvas.onpointerleave = () => hover(-1);
canvas.onwheel = (event) => {
  event.preventDefault();
  zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0018)), event.offsetX, event.offsetY);
};
canvas.ondblclick = (event) => zoom(2, event.offsetX, event.offsetY);
canvas.onkeydown = (event) => {
  const steps = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -view.columns, ArrowDown: view.columns,
                 PageUp: -8 * view.columns, PageDown: 8 * view.columns};
  const step = event.ctrlKey || event.altKey || event.metaKey ? undefined : steps[event.key];
  if (step !== undefined) {
    const to = selected < 0 ? 0 : selected + step;
    if (to >= 0 && to < count) select(to, true);
  } else if (event.key === 'Home') select(0, true);
  else if (event.key === 'End') select(count - 1, true);
  else if (event.key === '+' || event.key === '=') zoomAtSelected(1.5);
  else if (event.key === '-') zoomAtSelected(1 / 1.5);
  else if (event.key === '0') fit();
  else if (event.key === 'Escape') select(-1, false);
  else return;
  event.preventDefault();
};
function zoomAtSelected(by) {
  if (selected < 0) return zoom(by);
  const {x, y} = place(selected);
  zoom(by, x + view.pitch / 2, y + rise() / 2);
}
$('in').onclick = () => zoomAtSelected(1.5);
$('out').onclick = () => zoomAtSelected(1 / 1.5);
$('fit').onclick = fit;
$('theme').onclick = () => setTheme(themes[(themes.indexOf(theme) + 1) % themes.length]);
system.onchange = () => setTheme(theme);
for (const input of document.querySelectorAll('input[name=mode]')) {
  input.onchange = () => { mode = input.value; buildLegend(data.total); draw(); };
}
/** "1024" is a pfn, "0x400000" a byte offset; -1: neither, or beyond the pool. */
function cellOf(text) {
  const number = /^\s*(0x[0-9a-f]+|\d+)\s*$/i.test(text) ? Number(text) : -1;
  const pfn = /x/i.test(text) ? Math.floor(number / FRAME) : number;
  return pfn >= 0 && pfn < data.frames ? Math.floor(pfn / cellFrames) : -1;
}
$('goto').onsubmit = (event) => {
  event.preventDefault();
  const i = cellOf($('pfn').value);
  if (i >= 0) { select(i, true); canvas.focus(); }
};
$('pfn').oninput = () => $('pfn').setCustomValidity(
    $('pfn').value === '' || cellOf($('pfn').value) >= 0 ? '' : 'not a frame of this pool');
function fromAddress() {
  const named = /^#pfn=(\w+)$/.exec(location.hash);
  if (named && cellOf(named[1]) >= 0) select(cellOf(named[1]), true);
}
onhashchange = fromAddress;
new ResizeObserver(() => {
  const whole = view.pitch === view.fit;
  layOut();
  view.pitch = whole ? view.fit : Math.max(view.pitch, view.fit);
  $('unit').textContent = `One cell is ${data.cell}; a row, ` +
      `${bytes(view.columns * cellFrames * FRAME)}.`;
  paint();  // at once: what was drawn for another size would show stretched
}).observe(canvas);

document.title = `${data.path} \u2013 pool map`;
fit();
setTheme('auto');
showDetail(-1);
fromAddress();
paint();  // now: who prints the page may not wait for a first frame
