// Pairs, pictures and marks of `lcmem review`: asked of the server, page by page.
const data = JSON.parse(document.getElementById('data').textContent);

const source = {
  unit: data.unit,
  marks: new Map(Object.entries(data.marks)),

  async list(query) {
    const answer = await fetch(`/pairs?${new URLSearchParams(query)}`);
    return answer.json();
  },

  picture(row, side) {
    return data.private ? null : `/picture/${row.index}/${side}`;
  },

  mapped() {
    return !data.private;
  },

  async map(row) {
    const answer = await fetch(`/map/${row.index}`, {headers: {'X-Token': data.token}});
    if (answer.ok) return answer.json();
    throw new Error(answer.status === 404 ? 'a picture is not here any more' : await answer.text());
  },

  identities() {
    return data.identities;
  },

  async mark(row, value) {
    const answer = await fetch('/marks', {
      method: 'POST',
      headers: {'Content-Type': 'application/json', 'X-Token': data.token},
      body: JSON.stringify({index: row.index, mark: value}),
    });
    if (answer.ok) this.marks.set(row.synthetic, value);
    else say(`Not kept: ${await answer.text()}`);
  },
};
