// Tables, and the details of a message.

/** A table: a cell is a text, or {text, mood, title}, or {bar: [ready, unacked, full]}. */
function drawTable(parent, table, choose, send) {
  let element = parent.querySelector("table");
  if (!element) {
    element = html("table", "", parent);
    html("tr", "", html("thead", "", element));
    html("tbody", "", element);
  }
  const [head, body] = [element.tHead.rows[0], element.tBodies[0]];
  keep(head, byKey(table.columns.map((name, at) => [at, name]), ([at]) => at), () => {
    const made = html("th");
    made.scope = "col";
    return made;
  }, (made, [, name]) => write(made, name));
  let at = 0;
  keep(body, byKey(table.rows, (row) => row.key ?? row.message ?? at++), () => html("tr"), (line, row) => {
    keep(line, new Map(row.cells.map((cell, position) => [position, cell])), () => html("td"), (made, cell, position) => {
      drawCell(made, cell, position === 0 && row.message ? () => choose(row.message) : null, send);
    });
  });
}

function drawCell(made, cell, choose, send) {
  if (cell.acts) {
    drawActs(made, cell.acts, send);
  } else if (cell.bar) {
    const [ready, unacked, full] = cell.bar;
    if (!made.firstChild) ["ready", "unacked"].forEach((name) => html("i", name, html("div", "level", made)));
    made.setAttribute("aria-label", `${ready} ready, ${unacked} unacked`);
    [ready, unacked].forEach((count, at) => (made.children[at].firstChild.style.width = `${(100 * count) / full}%`));
  } else if (choose) {
    if (!made.firstChild) html("button", "link", made).type = "button";
    write(made.firstChild, cell);
    made.firstChild.onclick = choose;
  } else {
    const text = cell.text ?? String(cell);
    if (cell.mood) {
      if (!made.firstElementChild) html("span", "", made);
      made.firstElementChild.className = `mood ${cell.mood}`;
    }
    write(made.firstElementChild ?? made, text);
    made.title = cell.title ?? "";
  }
}

function drawMessage(parent, said, show) {
  const drawn = JSON.stringify(said ?? null);
  if (parent.drawn === drawn) return;
  parent.drawn = drawn;
  parent.replaceChildren();
  if (!said) {
    html("div", "quiet", parent, "Choose a message: click it, or Tab to it and press Enter.");
    return;
  }
  const left = html("div", "", parent), right = html("div", "", parent);
  html("h3", "", left, said.title);
  const rows = html("dl", "", left), steps = html("ol", "", right);
  for (const [name, value] of said.rows) {
    html("dt", "", rows, name);
    html("dd", "", rows, value);
  }
  for (const [text, at] of said.steps) {
    const line = html("li", "", steps);
    if (at === null) {
      line.textContent = text;
      continue;
    }
    const button = html("button", "link", line, text);
    button.type = "button";
    button.title = `Show step ${at}`;
    button.addEventListener("click", () => show(at));
  }
}
