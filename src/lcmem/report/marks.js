// What a reviewer says of a pair.
const MARKS = {1: 'confirmed', 2: 'false alarm', 3: 'unsure'};

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in made && name !== 'list') made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function say(text) {
  document.getElementById('status').textContent = text;
}

async function setMark(row, value) {
  const now = source.marks.get(row.synthetic) === value ? '' : value;
  await source.mark(row, now);
  say(`${row.synthetic}: ${now || 'no mark'}`);
  countMarks();
}

function countMarks() {
  const counts = {};
  for (const value of source.marks.values()) if (value) counts[value] = (counts[value] ?? 0) + 1;
  const parts = Object.values(MARKS).filter((value) => counts[value]).map((value) => `${counts[value]} ${value}`);
  document.getElementById('marked').textContent = parts.length ? parts.join(', ') : 'nothing marked yet';
  const button = document.getElementById('export');
  if (button) button.disabled = !parts.length;
}

function csvCell(value) {
  return /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}

function marksAsCsv() {
  const lines = source.marked().map((row) =>
    [row.synthetic, row.real, row.verdict, source.marks.get(row.synthetic)].map(csvCell).join(','));
  return ['synthetic,real,verdict,mark', ...lines].join('\n') + '\n';
}

function exportMarks() {
  const link = element('a', {
    href: URL.createObjectURL(new Blob([marksAsCsv()], {type: 'text/csv'})), download: 'marks.csv',
  });
  link.click();
  URL.revokeObjectURL(link.href);
}
