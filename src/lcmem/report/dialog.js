// One pair, large: side by side, difference, flicker, overlay, and where the evidence lies.
const dialog = document.getElementById('pair');
const stage = document.getElementById('stage');
const VIEWS = {side: sideBySide, difference, flicker, overlay, map: heatMaps};
const still = window.matchMedia('(prefers-reduced-motion: reduce)');
const LONGEST = 512;
const EVERY = 600;
let looking = 'side';
let ticking = 0;

function openPair(at) {
  view.selected = at;
  if (!dialog.open) dialog.showModal();
  showPair();
}

function look(name) {
  if (!dialog.open || document.getElementById(`view-${name}`).disabled) return;
  looking = name;
  showPair();
}

function showPair() {
  const row = view.rows[view.selected];
  const pictures = ['synthetic', 'real'].map((side) => source.picture(row, side));
  const mark = source.marks.get(row.synthetic) ?? '';
  document.getElementById('pair-title').textContent =
    `${row.grade}: ${view.start + view.selected + 1} of ${view.total.toLocaleString('en')}`;
  document.getElementById('pair-score').textContent = scoreText(row);
  document.getElementById('pair-names').replaceChildren(
    element('dt', {}, 'synthetic'), element('dd', {}, row.synthetic),
    element('dt', {}, 'real'), element('dd', {}, row.real + (row.identity ? ` (${row.identity})` : '')));
  for (const [key, value] of Object.entries(MARKS)) {
    document.getElementById(`mark-${key}`).setAttribute('aria-pressed', String(value === mark));
  }
  const there = pictures.every(Boolean);
  const able = {side: true, difference: there, flicker: there, overlay: there, map: there && source.mapped(row)};
  const shown = able[looking] ? looking : 'side';
  for (const name of Object.keys(VIEWS)) {
    const button = document.getElementById(`view-${name}`);
    button.disabled = !able[name];
    button.setAttribute('aria-pressed', String(name === shown));
  }
  clearInterval(ticking);
  stage.className = shown;
  stage.replaceChildren(...VIEWS[shown](row, pictures));
}

function titled(content, title) {
  return element('figure', {}, content, element('figcaption', {}, title));
}

function sideBySide(row) {
  return ['synthetic', 'real'].map((side) => titled(thumbnail(row, side), side));
}

async function loaded(url) {
  const image = element('img', {src: url});
  await image.decode();
  return image;
}

// Both pictures in one size, that of the synthetic one, so that places can be compared.
async function levels(urls) {
  const images = await Promise.all(urls.map(loaded));
  const scale = Math.min(1, LONGEST / Math.max(images[0].naturalWidth, images[0].naturalHeight));
  const [width, height] = [images[0].naturalWidth, images[0].naturalHeight].map((side) => Math.max(1, Math.round(side * scale)));
  return images.map((image) => {
    const context = element('canvas', {width, height}).getContext('2d', {willReadFrequently: true});
    context.drawImage(image, 0, 0, width, height);
    return context.getImageData(0, 0, width, height);
  });
}

function difference(row, urls) {
  const canvas = element('canvas', {role: 'img', 'aria-label': 'where the pictures differ'});
  levels(urls).then(([one, two]) => {
    Object.assign(canvas, {width: one.width, height: one.height});
    for (let at = 0; at < one.data.length; at += 4) {
      for (let channel = at; channel < at + 3; channel++) {
        one.data[channel] = Math.min(255, 3 * Math.abs(one.data[channel] - two.data[channel]));
      }
    }
    canvas.getContext('2d').putImageData(one, 0, 0);
  });
  return [titled(canvas, 'difference × 3: black where both are equal')];
}

function stacked(urls) {
  return urls.map((url, at) => element('img', {src: url, alt: at ? 'real picture' : 'synthetic picture'}));
}

function flicker(row, urls) {
  const [one, two] = stacked(urls);
  const title = element('figcaption', {}, 'synthetic');
  const swap = () => {
    two.hidden = !two.hidden;
    title.textContent = two.hidden ? 'synthetic' : 'real';
  };
  two.hidden = true;
  const pile = element('button', {type: 'button', className: 'pile', title: 'swap'}, one, two);
  pile.addEventListener('click', () => { clearInterval(ticking); swap(); });
  if (!still.matches) ticking = setInterval(swap, EVERY);
  return [element('figure', {}, pile, title)];
}

function overlay(row, urls) {
  const [one, two] = stacked(urls);
  const slider = element('input', {type: 'range', min: 0, max: 100, value: 50, 'aria-label': 'share of the real picture'});
  const mix = () => { two.style.opacity = slider.value / 100; };
  slider.addEventListener('input', mix);
  mix();
  return [element('figure', {}, element('div', {className: 'pile'}, one, two),
    element('figcaption', {}, 'synthetic ', slider, ' real'))];
}

function heatMaps(row, urls) {
  const titles = ['synthetic', 'real'];
  const canvases = titles.map((title) => element('canvas', {role: 'img', 'aria-label': `evidence in the ${title} picture`}));
  const told = element('p', {className: 'soft'}, 'Looking where the evidence lies …');
  paintMaps(row, urls, canvases).then(() => told.remove(), (error) => { told.textContent = `No heat map: ${error.message}`; });
  return [...canvases.map((canvas, at) => titled(canvas, `${titles[at]}: red speaks for the match, blue against it`)), told];
}

async function paintMaps(row, urls, canvases) {
  const [found, ...images] = await Promise.all([source.map(row), ...urls.map(loaded)]);
  const limit = Math.max(found.least, ...found.maps.flatMap((map) => map.values.map(Math.abs)));
  canvases.forEach((canvas, at) => paint(canvas, images[at], found.maps[at], limit));
}

function paint(canvas, image, map, limit) {
  Object.assign(canvas, {width: image.naturalWidth, height: image.naturalHeight});
  const context = canvas.getContext('2d');
  context.filter = 'grayscale(1) contrast(.7) brightness(1.15)';
  context.drawImage(image, 0, 0);
  context.filter = 'none';
  const small = element('canvas', {width: map.width, height: map.height});
  const colours = new ImageData(map.width, map.height);
  map.values.forEach((value, at) => {
    const red = value > 0 ? [178, 24, 43] : [33, 102, 172];
    colours.data.set([...red, 190 * Math.min(1, Math.abs(value) / limit)], 4 * at);
  });
  small.getContext('2d').putImageData(colours, 0, 0);
  context.imageSmoothingQuality = 'high';
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
}

for (const name of Object.keys(VIEWS)) document.getElementById(`view-${name}`).addEventListener('click', () => look(name));
for (const [key, value] of Object.entries(MARKS)) {
  document.getElementById(`mark-${key}`).addEventListener('click', () => markSelected(value));
}
document.getElementById('pair-next').addEventListener('click', () => step(1));
document.getElementById('pair-previous').addEventListener('click', () => step(-1));
document.getElementById('pair-close').addEventListener('click', () => dialog.close());
dialog.addEventListener('close', () => { clearInterval(ticking); focusSelected(); });
