// The gallery: filters, cards, pages and keys.
const CONTROLS = ['verdict', 'mark', 'sort', 'least', 'dataset', 'identity', 'text'].filter((name) => document.getElementById(name));
const gallery = document.getElementById('cards');
const view = {start: 0, total: 0, rows: [], selected: 0, asked: 0};

function pageSize() {
  return window.matchMedia('(max-width: 640px)').matches ? 6 : 24;
}

function query() {
  const wanted = Object.fromEntries(CONTROLS.map((name) => [name, document.getElementById(name).value.trim()]));
  return {...wanted, start: view.start, count: pageSize()};
}

function scoreText(row) {
  const parts = [`${source.unit} ${row.score.toFixed(2)}`];
  const scored = row.by !== 'looks' && row.by !== 'content'; // p and q say nothing of what was seen or is equal
  if (scored && row.p !== null && row.p !== undefined) parts.push(`p ${shortNumber(row.p)}`, `q ${shortNumber(row.q)}`);
  if (!scored) parts.push(row.by === 'looks' ? 'found by its looks' : 'the same file');
  return parts.join(' · ');
}

function shortNumber(value) {
  return value >= 0.0001 ? String(Number(value.toPrecision(2))) : value.toExponential(0);
}

function thumbnail(row, side) {
  const url = source.picture(row, side);
  if (url) return element('img', {src: url, alt: `${side} picture`, decoding: 'async'});
  return element('em', {className: 'gone'}, url === null ? 'not in this page' : 'not here any more');
}

function card(row, at) {
  const mark = source.marks.get(row.synthetic) ?? '';
  const sides = ['synthetic', 'real'].map((side) =>
    element('span', {className: 'half'}, thumbnail(row, side), element('span', {className: 'side'}, side)));
  const badges = element('span', {className: 'badges'}, element('b', {className: `badge ${slug(row.grade)}`}, row.grade));
  if (mark) badges.append(element('b', {className: `badge mark ${slug(mark)}`}, mark));
  const button = element('button', {type: 'button', className: 'card-button'},
    element('span', {className: 'pair'}, ...sides), badges,
    element('span', {className: 'score'}, scoreText(row)),
    element('span', {className: 'name'}, row.synthetic),
    element('span', {className: 'name'}, `real: ${row.real}${row.identity ? ` (${row.identity})` : ''}`));
  button.addEventListener('click', () => openPair(at));
  button.addEventListener('focus', () => { view.selected = at; });
  return element('li', {}, button);
}

function slug(text) {
  return text.replaceAll(' ', '-');
}

async function show(start = 0) {
  view.start = Math.max(0, start);
  const asked = ++view.asked;
  const found = await source.list(query());
  if (asked !== view.asked) return; // of two answers the one to the later question counts, whichever comes first
  Object.assign(view, {total: found.total, rows: found.rows});
  view.selected = Math.min(view.selected, Math.max(0, view.rows.length - 1));
  gallery.replaceChildren(...view.rows.map(card));
  const last = view.start + view.rows.length;
  document.getElementById('range').textContent =
    view.total ? `${view.start + 1}–${last} of ${view.total.toLocaleString('en')}` : 'No pair like that.';
  document.getElementById('previous').disabled = view.start === 0;
  document.getElementById('next').disabled = last >= view.total;
}

async function turn(pages) {
  const start = view.start + pages * pageSize();
  if (start < 0 || start >= view.total) return false;
  view.selected = pages > 0 ? 0 : pageSize() - 1;
  await show(start);
  return true;
}

// With no card in focus nobody sees which one is selected: the first key shows it, and does no more.
function unseen() {
  const hidden = !dialog.open && !gallery.contains(document.activeElement);
  if (hidden) focusSelected();
  return hidden;
}

async function step(by) {
  if (unseen()) return;
  const at = view.selected + by;
  if (at >= 0 && at < view.rows.length) view.selected = at;
  else if (!await turn(by)) return;
  if (dialog.open) showPair();
  else focusSelected();
}

function focusSelected() {
  gallery.children[view.selected]?.querySelector('button').focus();
}

function redrawCard() {
  gallery.children[view.selected]?.replaceWith(card(view.rows[view.selected], view.selected));
}

async function markSelected(value) {
  if (!view.rows.length || unseen()) return;
  await setMark(view.rows[view.selected], value);
  redrawCard();
  if (dialog.open) showPair();
  else focusSelected();
}

const KEYS = {
  j: () => step(1), ArrowRight: () => step(1), k: () => step(-1), ArrowLeft: () => step(-1),
  1: () => markSelected(MARKS[1]), 2: () => markSelected(MARKS[2]), 3: () => markSelected(MARKS[3]),
  s: () => look('side'), d: () => look('difference'), f: () => look('flicker'), o: () => look('overlay'), h: () => look('map'),
  '?': () => document.getElementById('help').showModal(),
  '/': () => document.getElementById('text').focus(),
};

document.addEventListener('keydown', (event) => {
  const slides = event.target.matches('input[type=range]');
  const typing = slides ? event.key.startsWith('Arrow') : event.target.matches('input, select');
  if (typing || event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
  if (document.getElementById('help').open) return;
  event.preventDefault();
  KEYS[event.key]();
});

for (const name of CONTROLS) {
  document.getElementById(name).addEventListener('input', () => { view.selected = 0; show(); });
}
document.getElementById('controls').addEventListener('submit', (event) => event.preventDefault());
document.getElementById('previous').addEventListener('click', () => turn(-1));
document.getElementById('next').addEventListener('click', () => turn(1));
document.getElementById('export')?.addEventListener('click', exportMarks);
document.getElementById('help-button').addEventListener('click', KEYS['?']);
document.getElementById('help-close').addEventListener('click', () => document.getElementById('help').close());
window.matchMedia('(max-width: 640px)').addEventListener('change', () => show(view.start));

const closed = [...document.querySelectorAll('details:not([open])')];
window.addEventListener('beforeprint', () => closed.forEach((part) => { part.dataset.closed = part.open ? '' : 'yes'; part.open = true; }));
window.addEventListener('afterprint', () => closed.forEach((part) => { if (part.dataset.closed) part.open = false; }));

document.getElementById('identities').append(...source.identities().map((name) => element('option', {value: name})));
countMarks();
show().then(() => performance.mark('shown'));
