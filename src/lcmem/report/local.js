// Pairs, pictures and marks of a report: all of them lie in the page, marks in the browser's storage.
const data = JSON.parse(document.getElementById('data').textContent);
const columns = Object.keys(data.pairs);
const rows = data.pairs.synthetic.map((_, index) =>
  Object.fromEntries([['index', index], ...columns.map((name) => [name, data.pairs[name][index]])]));

const ORDERS = {
  rank: (a, b) => a.index - b.index,
  strongest: (a, b) => b.score - a.score,
  weakest: (a, b) => a.score - b.score,
  q: (a, b) => (a.q ?? 2) - (b.q ?? 2) || a.index - b.index,
  name: (a, b) => a.synthetic.localeCompare(b.synthetic, undefined, {numeric: true}),
  identity: (a, b) => a.identity.localeCompare(b.identity, undefined, {numeric: true}) || a.index - b.index,
};

const source = {
  unit: data.unit,
  marks: new Map(Object.entries({...data.marks, ...stored()})),

  async list(query) {
    const found = rows.filter((row) => wanted(row, query)).sort(ORDERS[query.sort]);
    return {total: found.length, rows: found.slice(query.start, query.start + query.count)};
  },

  picture(row, side) {
    const number = side === 'synthetic' ? row.one : row.two;
    return number < 0 ? null : data.pictures[number];
  },

  mapped(row) {
    return row.index in data.maps;
  },

  map(row) {
    return data.maps[row.index];
  },

  identities() {
    return [...new Set(data.pairs.identity)].filter(Boolean).sort().slice(0, 1000);
  },

  async mark(row, value) {
    this.marks.set(row.synthetic, value);
    try {
      localStorage.setItem(storageKey(), JSON.stringify(Object.fromEntries(this.marks)));
    } catch {
      say('This browser keeps no marks for files: export them before you close the page.');
    }
  },

  marked() {
    return rows.filter((row) => this.marks.get(row.synthetic));
  },
};

function storageKey() {
  return `lcmem-marks-${data.id}`;
}

function stored() {
  try {
    return JSON.parse(localStorage.getItem(storageKey()) ?? '{}');
  } catch {
    return {};
  }
}

function wanted(row, query) {
  const mark = source.marks.get(row.synthetic) || 'unmarked';
  return (query.verdict === 'all' || (query.verdict === 'match' ? row.verdict !== 'no match' : row.grade === query.verdict))
    && (query.mark === 'any' || mark === query.mark)
    && (query.least === '' || row.score >= Number(query.least))
    && (!query.dataset || row.dataset === query.dataset)
    && (query.identity === '' || row.identity === query.identity)
    && `${row.synthetic}\n${row.real}\n${row.identity}`.toLowerCase().includes(query.text.toLowerCase());
}
