// The front end of all widgets: draws scenes, plain JSON, and reports clicks. A scene comes from a live kernel (`render`)
// or from a page (`play`). Moving parts are decoration over resting ones: a view that was made late, hidden for a while
// or not animated shows the same. Text from outside goes through textContent and setAttribute alone.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 860, CHIP = 22, LEAST = 0.8;
const HOP = 420, BACK = 800, END = 380, BAD_END = 1100, LATEST = 4000, MOST_FLYING = 90, JOIN = 450, BEHIND = 70;
const PACES = [["normal", 700], ["slower", 1500], ["slowest", 3000]];
const SIGNS = { request: "?", reply: "=", message: "\u2022" };
const ENDS = {
  acked: "\u2713", rejected: "\u2715 rejected", returned: "\u21a9 returned", expired: "\u2715 expired",
  "no queue": "\u2715 no queue", removed: "\u2715 removed",
};
const BACKWARD = ["requeued", "lost"];
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
let views = 0;

function html(tag, className, parent, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  parent?.append(made);
  return made;
}

function svg(tag, attributes, parent) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  parent?.append(made);
  return made;
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Keep one element for each item, in the items' order: elements are reused, so that the focus stays where it is. */
function keep(parent, items, make, update) {
  const kept = (parent.kept ??= new Map());
  for (const [key, element] of kept) {
    if (!items.has(key)) {
      element.remove();
      kept.delete(key);
    }
  }
  let before = null;
  for (const [key, item] of items) {
    if (!kept.has(key)) kept.set(key, make(item, key));
    const element = kept.get(key);
    const place = before ? before.nextSibling : parent.firstChild;
    if (element !== place) parent.insertBefore(element, place);
    before = element;
    update(element, item, key);
  }
}

const byKey = (list, key) => new Map(list.map((one) => [key(one), one]));

/** Buttons: {do, args, label, title, ask, key}. One with `ask` asks before it acts; two with the same key are one button
 * whose text changes, and which keeps the focus. */
function drawActs(parent, acts, send) {
  keep(parent, byKey(acts, (act) => act.key ?? act.do + act.args), () => {
    const button = html("button", "act");
    button.type = "button";
    const rest = () => {
      clearTimeout(button.timer);
      button.asking = false;
      button.classList.remove("asking");
      write(button, button.act.label);
    };
    button.addEventListener("click", () => {
      if (button.act.ask && !button.asking) {
        button.asking = true;
        button.classList.add("asking");
        write(button, button.act.ask);
        button.timer = setTimeout(rest, 5000);
        return;
      }
      rest();
      send(button.act.do, ...button.act.args);
    });
    button.addEventListener("blur", rest);
    return button;
  }, (button, act) => {
    button.act = act;
    if (!button.asking) write(button, act.label);
    button.title = act.title ?? "";
    button.setAttribute("aria-label", act.title ? `${act.label}: ${act.title}` : act.label);
    button.classList.toggle("danger", Boolean(act.danger));
    button.classList.toggle("main", Boolean(act.main));
    button.disabled = Boolean(act.off);
  });
}

/** The form of a client: a field for each argument, fire, burst, steady. */
class Form {
  constructor(parent, form, send) {
    this.root = html("div", "form", parent);
    const fire = html("div", "row", this.root), values = () => this.fields.map((field) => field.value);
    this.fields = form.fields.map(([name, value, kind]) => {
      const label = html("label", "", fire, `${name} `), field = html("input", kind, label);
      field.value = value;
      field.addEventListener("change", () => send("typed", form.client, ...values()));
      field.addEventListener("keydown", (event) => {
        if (event.key === "Enter") this.fire.click();
      });
      return field;
    });
    const button = (row, label, title, act, className = "act") => {
      const made = html("button", className, row, label);
      made.type = "button";
      made.title = title;
      made.addEventListener("click", act);
      return made;
    };
    const number = (row, label, value, after = "") => {
      const around = html("label", "", row, ""), field = html("input", "number", around);
      field.value = value;
      field.setAttribute("aria-label", label);
      if (after) around.append(after);
      return field;
    };
    this.fire = button(fire, "Fire", "Send this request", () => send("fire", form.client, ...values()), "act main");
    const many = html("div", "row", this.root);
    this.count = number(many, "Many at once", form.burst);
    button(many, "Burst", "Send the request above this many times at once",
      () => send("burst", form.client, this.count.value, ...values()));
    this.rate = number(many, "Requests per second", form.steady, "/s");
    this.steady = button(many, "Start", "Send the request above this many times a second, until you stop it",
      () => send("steady", form.client, this.rate.value, ...values()));
    this.acts = html("span", "acts", form.client ? fire : many);
    this.send = send;
  }

  update({ running, acts }) {
    write(this.steady, running ? "Stop" : "Start");
    drawActs(this.acts, acts ?? [], this.send);
  }
}

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

// The picture

const middleOf = ({ y, h }) => y + h / 2;

/** A path through the gutters between columns: no line goes through a box. Returns an SVG path. */
function route(a, b, columns, height) {
  const [from, to] = [columns.indexOf(a.column), columns.indexOf(b.column)];
  if (from === to) {
    const x = a.x + a.w, [y, end] = a.y < b.y ? [a.y + a.h - 8, b.y + 8] : [a.y + 8, b.y + b.h - 8];
    return `M${x} ${y}C${x + 30} ${y} ${x + 30} ${end} ${b.x + b.w + 4} ${end}`;
  }
  const right = to > from, sign = right ? 1 : -1;
  const x = right ? a.x + a.w : a.x, end = (right ? b.x : b.x + b.w) - 3 * sign;
  const bend = (x1, y1, x2, y2) => `C${x1 + (x2 - x1) / 2} ${y1} ${x2 - (x2 - x1) / 2} ${y2} ${x2} ${y2}`;
  const between = columns.slice(Math.min(from, to) + 1, Math.max(from, to));
  const frames = between.flatMap((column) => column.frames).sort((one, other) => one.y - other.y);
  if (!frames.length) return `M${x} ${a.port}${bend(x, a.port, end, b.port)}`;
  // Over, between or under the boxes of the columns between, wherever the path is shortest.
  const free = [-5];
  frames.reduce((low, { y, h }) => {
    if (y - low >= 8 && low > 0) free.push((low + y) / 2);
    return Math.max(low, y + h);
  }, 0);
  free.push(Math.max(...frames.map(({ y, h }) => y + h)) + 7);
  const wanted = (a.port + b.port) / 2;
  const y = free.filter((one) => one < height + 8).reduce(
    (best, one) => (Math.abs(one - wanted) < Math.abs(best - wanted) ? one : best));
  const left = Math.min(...frames.map((frame) => frame.x)), far = Math.max(...frames.map((frame) => frame.x + frame.w));
  const [enter, leave] = right ? [left, far] : [far, left];
  return `M${x} ${a.port}${bend(x, a.port, enter, y)}H${leave}${bend(leave, y, end, b.port)}`;
}

class Picture {
  constructor(parent, source) {
    this.source = source;
    this.id = ++views;
    this.root = html("div", "picture", parent);
    this.svg = svg("svg", { class: "ways", "aria-hidden": "true" }, this.root);
    const defs = svg("defs", {}, this.svg);
    for (const kind of ["request", "reply"]) {
      const tip = svg("marker", { id: `rpclab-${kind}-${this.id}`, viewBox: "0 0 8 8", refX: 5, refY: 4, markerWidth: 8,
        markerHeight: 8, orient: "auto-start-reverse", markerUnits: "userSpaceOnUse" }, defs);
      svg("path", { d: "M0 0L8 4L0 8Z", class: `tip ${kind}` }, tip);
    }
    this.ways = svg("g", {}, this.svg);
    this.columns = new Map();
    for (const name of ["client", "exchange", "queue", "worker"]) {
      const column = html("div", `column ${name}`, this.root);
      this.columns.set(name, { element: column, above: html("div", "above", column), below: html("div", "below", column) });
    }
    this.moving = html("div", "moving", this.root);
    this.moving.setAttribute("aria-hidden", "true");
    const legend = html("div", "quiet legend", this.columns.get("worker").element);
    for (const [kind, sign] of Object.entries(SIGNS)) html("span", `chip ${kind}`, legend, `${sign} ${kind}`);
    html("span", "chip back", legend, "\u21bb redelivered");
    html("span", "", legend, "\u2713 acked");
    this.empty = html("div", "quiet nothing", this.root, "Nothing here yet: no queue, no consumer, no message.");
    this.boxes = new Map(); // key -> element
    this.chips = new Map(); // chip -> element at rest
    this.paths = new Map(); // way -> path element
    this.flying = new Map(); // chip -> how many moves of it are still to be seen
    this.busy = new Map(); // message -> when its last move ends
    this.last = new Map(); // way -> when the last chip on it started
    this.thick = new Map(); // way -> the chip for many that is on it
    this.timers = new Set();
    this.stillness = matchMedia("(prefers-reduced-motion: reduce)");
  }

  /** Where an element is, in the picture's own units. */
  frame(element) {
    let x = 0, y = 0, one = element;
    for (; one && one !== this.root; one = one.offsetParent) {
      x += one.offsetLeft;
      y += one.offsetTop;
    }
    return { x, y, w: element.offsetWidth, h: element.offsetHeight };
  }

  draw(scene, desk) {
    this.scene = scene;
    this.empty.hidden = scene.boxes.length > 0;
    this.root.classList.toggle("exchanges", scene.boxes.some((box) => box.role === "exchange"));
    this.shown = new Set();
    for (const [name, column] of this.columns) {
      const here = scene.boxes.filter((box) => box.role === name);
      this.drawStack(column.above, here.filter((box) => !box.lane), name, desk);
      this.drawStack(column.below, here.filter((box) => box.lane), name, desk);
      column.element.hidden = !column.above.children.length && !column.below.children.length;
    }
    for (const [number, chip] of this.chips) if (!this.shown.has(number)) this.chips.delete(number) && chip.remove();
  }

  drawStack(parent, boxes, column, desk) {
    const heads = { client: ["clients", "callback workers"], exchange: ["exchanges"],
      queue: ["request queues \u2192", "\u2190 callback queues"], worker: ["servers"] };
    const raw = { queue: ["queues \u2192", "\u2190 callback queues"], worker: ["consumers"] };
    const title = ((this.scene.room ? heads : { ...heads, ...raw })[column] ?? [])[Number(parent.className === "below")];
    const items = new Map([["title", { title }]]), groups = this.scene.groups ?? {};
    for (const box of boxes) {
      const name = box.group ? `group ${box.group}` : box.key;
      if (!items.has(name)) items.set(name, box.group ? { group: box.group, boxes: [], ...groups[box.group] } : box);
      if (box.group) items.get(name).boxes.push(box);
    }
    for (const [group, more] of Object.entries(groups)) {
      if (more.column === column && (parent.className === "below") === Boolean(more.lane) && !items.has(`group ${group}`)) {
        items.set(`group ${group}`, { group, boxes: [], ...more });
      }
    }
    if (items.size === 1 || !title) items.delete("title");
    keep(parent, items, (item, key) => {
      if (item.title) return html("div", "head");
      if (!item.group) return this.makeBox(key);
      const made = html("section", "group");
      const head = html("div", "head", made);
      html("b", "", head);
      html("span", "acts", head);
      html("span", "acts faults", made);
      html("div", "cards", made);
      return made;
    }, (element, item) => {
      if (item.title) {
        write(element, item.title);
        return;
      }
      if (!item.group) {
        this.drawBox(element, item, desk);
        return;
      }
      write(element.firstChild.firstChild, item.group);
      element.setAttribute("aria-label", item.group);
      drawActs(element.firstChild.lastChild, item.acts ?? [], this.source.send);
      drawActs(element.children[1], item.faults ?? [], this.source.send);
      keep(element.lastChild, byKey(item.boxes, (box) => box.key), (_, key) => this.makeBox(key),
        (card, box) => this.drawBox(card, box, desk));
      element.classList.toggle("none", !item.boxes.length);
    });
    for (const [key, element] of parent.kept) if (key.startsWith("group ")) this.boxes.set(key, element);
  }

  makeBox(key) {
    const made = html("div", "box");
    for (const name of ["name", "state", "chips", "said", "acts"]) made[name] = html("span", name, made);
    made.more = html("span", "more");
    this.boxes.set(key, made);
    return made;
  }

  drawBox(element, box, desk) {
    const held = box.role !== "queue" && box.role !== "exchange";
    element.className = `box ${box.role} ${box.lane} ${box.gone ? "gone" : ""} ${box.state} ${box.group ? "card" : ""} ${
      held && box.unacked ? "unacked" : ""} ${box.acts?.length ? "acting" : ""}`;
    element.box = box;
    write(element.name, box.group ? box.name.slice(box.group.length + 1) : box.name);
    element.name.setAttribute("aria-label", box.name);
    element.setAttribute("role", "group");
    element.setAttribute("aria-label", [box.name, box.state, box.said].filter(Boolean).join(", "));
    element.title = box.title ?? "";
    write(element.state, box.state === "working" && box.chips.length ? "" : box.state);
    write(element.said, box.said);
    drawActs(element.acts, box.acts ?? [], this.source.send);
    if (box.form) {
      element.form ??= new Form(element, box.form, this.source.send);
      drawAnswers(element, desk?.[box.form.client] ?? {});
    }
    this.drawChips(element, box, held);
  }

  drawChips(element, box, held) {
    const chosen = this.source.get("selected");
    const items = new Map(box.chips.map((number) => [number, this.scene.chips[number]]));
    keep(element.chips, items, (_, number) => {
      const made = html("button", "chip");
      made.type = "button";
      made.addEventListener("click", () => this.source.select(made.chip.message));
      this.chips.set(number, made);
      return made;
    }, (made, chip, number) => {
      made.chip = chip;
      this.shown.add(number);
      this.chips.set(number, made);
      dressChip(made, chip, `${chip.message === chosen ? " chosen" : ""}`);
      made.setAttribute("aria-label", `${chip.name}, ${chip.label}, ${held ? "unacked at" : "in"} ${box.name}${
        chip.redelivered ? ", redelivered" : ""}`);
      made.style.visibility = this.flying.has(number) ? "hidden" : "";
      made.hidden = false;
    });
    // Chips without room in the row are counted.
    const all = [...element.chips.children];
    element.chips.append(element.more);
    const count = (left) => write(element.more, left > 0 ? `+ ${left.toLocaleString("en")}` : "");
    count(box.count - all.length);
    while (all.length > 1 && element.chips.scrollWidth > element.chips.clientWidth) {
      all.pop().hidden = true;
      count(box.count - all.length);
    }
    element.more.remove();
    if (element.more.textContent) element.chips.append(element.more);
  }

  /** Draw the paths if they have changed; when boxes change their sizes, they are drawn anyway. */
  drawWaysOnce() {
    const wanted = JSON.stringify([this.scene.lines, this.scene.boxes.map((box) => [box.key, box.lane])]);
    if (wanted !== this.waysDrawn) this.drawWays();
    this.waysDrawn = wanted;
  }

  /** Draw the paths, once the boxes are in place. */
  drawWays() {
    if (!this.scene?.boxes) return;
    const scene = this.scene, height = this.root.clientHeight;
    this.svg.setAttribute("viewBox", `0 0 ${WIDTH} ${height}`);
    const columns = [...this.columns.values()].filter((column) => !column.element.hidden);
    const frames = new Map();
    for (const column of columns) column.frames = [];
    for (const box of scene.boxes) {
      const name = box.group ? `group ${box.group}` : box.key;
      if (frames.has(name)) continue;
      const column = this.columns.get(box.role), frame = { ...this.frame(this.boxes.get(name)), column, name, ports: {} };
      frames.set(name, frame);
      column.frames.push(frame);
    }
    this.names = new Map(scene.boxes.map((box) => [box.key, box.group ? `group ${box.group}` : box.key]));
    const lanes = new Map(scene.boxes.map((box) => [box.key, box.lane]));
    const ways = new Map();
    for (const [from, to] of scene.lines) {
      const [a, b] = [frames.get(this.names.get(from)), frames.get(this.names.get(to))];
      if (a && b && a !== b) ways.set(`${a.name}\n${b.name}`, { a, b, kind: lanes.get(from) || lanes.get(to) ? "reply" : "request" });
    }
    // Paths that meet on one side of a box are spread over it, in their order.
    for (const way of ways.values()) {
      for (const [mine, other] of [[way.a, way.b], [way.b, way.a]]) {
        const right = columns.indexOf(other.column) >= columns.indexOf(mine.column);
        (mine.ports[right ? "right" : "left"] ??= []).push({ way, at: middleOf(other), mine });
      }
    }
    for (const frame of frames.values()) {
      for (const side of Object.values(frame.ports)) {
        side.sort((one, other) => one.at - other.at);
        side.forEach(({ way }, position) => {
          way[way.a === frame ? "start" : "end"] = frame.y + (frame.h * (position + 1)) / (side.length + 1);
        });
      }
    }
    keep(this.ways, ways, () => svg("path", {}, null), (path, { a, b, kind, start, end }) => {
      path.setAttribute("class", `way ${kind}`);
      path.setAttribute("marker-end", `url(#rpclab-${kind}-${this.id})`);
      path.setAttribute("d", route({ ...a, port: start }, { ...b, port: end }, columns, height));
    });
    this.paths = this.ways.kept;
  }

  // What moves

  expect(chip, change) {
    const left = (this.flying.get(chip) ?? 0) + change;
    if (left > 0) this.flying.set(chip, left);
    else this.flying.delete(chip);
    const resting = this.chips.get(chip);
    if (resting) resting.style.visibility = left > 0 ? "hidden" : "";
  }

  /** Record what will move, before the boxes are drawn; returns where the chips rest. */
  before(moves) {
    this.animated = moves.length > 0 && !this.stillness.matches && !document.hidden && this.root.isConnected;
    if (!this.animated) return null;
    moves.forEach((move) => move.count || this.expect(move.chip, 1));
    return new Map([...this.chips].filter(([, chip]) => chip.offsetParent).map(([number, chip]) => [number, this.frame(chip)]));
  }

  after(moves, resting) {
    if (!this.animated) return;
    moves.forEach((move, order) => (move.count ? this.flyMany(move, order) : this.fly(move, resting)));
  }

  /** Show one move after those before it, of the same message or of its request. */
  fly(move, resting) {
    const now = performance.now(), backward = BACKWARD.includes(move.how);
    const slow = this.timers.size < 30 ? 1 : 0.5;
    const bad = !move.to && move.how !== "acked";
    const length = slow * (move.to ? (backward ? BACK : HOP) : bad ? BAD_END : END);
    const way = `${move.from}\n${move.to ?? move.chip}`;
    const start = Math.max(now, this.busy.get(move.message) ?? 0, this.busy.get(move.after) ?? 0,
      (this.last.get(way) ?? 0) + BEHIND);
    if (start - now > LATEST || this.timers.size >= MOST_FLYING) {
      this.expect(move.chip, -1);
      return;
    }
    this.busy.set(move.message, start + length);
    if (move.to) this.last.set(way, start);
    const from = resting.get(move.chip);
    this.later(start - now, () => {
      const ended = () => {
        this.expect(move.chip, -1);
        if (this.busy.get(move.message) <= performance.now() + 1) this.busy.delete(move.message);
      };
      const chip = html("span", "chip", this.moving);
      dressChip(chip, move, ` moving ${bad ? "bad" : backward ? "back" : ""}`);
      if (!move.to) write(chip, bad ? ENDS[move.how] ?? move.how : `${chip.textContent} ${ENDS[move.how]}`);
      if (move.to) this.travel(chip, move, length, from, ended);
      else this.vanish(chip, move, length, from, ended);
    });
  }

  /** Show one thick chip for many messages on the same path; later ones are added to its count. */
  flyMany(move, order) {
    const way = `${move.from}\n${move.to}\n${move.how}`, there = this.thick.get(way), now = performance.now();
    if (there && now - there.start < JOIN + 60 * order) {
      there.count += move.count;
      there.show();
      return;
    }
    const many = { count: move.count, start: now, show() {} };
    this.thick.set(way, many);
    this.later(60 * order, () => {
      const chip = html("span", `chip many moving ${BACKWARD.includes(move.how) ? "back" : ""}`, this.moving);
      many.show = () => write(chip, `\u00d7 ${many.count.toLocaleString("en")}`);
      many.show();
      this.travel(chip, move, 1.5 * HOP, null, () => {
        if (this.thick.get(way) === many) this.thick.delete(way);
      });
    });
  }

  boxAt(key) {
    const others = `${key.slice(0, key.indexOf(":"))}:\0others `;
    const found = this.names.has(key) ? key : [...this.names.keys()].find((known) => known.startsWith(others));
    return found ? this.boxes.get(found) : null;
  }

  travel(chip, move, length, from, ended) {
    const [a, b] = [this.boxAt(move.from), this.boxAt(move.to)];
    if (!a || !b) {
      chip.remove();
      ended();
      return;
    }
    const [one, other] = [this.names.get(a.box.key), this.names.get(b.box.key)];
    const there = this.paths.get(`${one}\n${other}`), back = this.paths.get(`${other}\n${one}`), path = there ?? back;
    const half = chip.offsetWidth / 2, points = [];
    if (path) {
      const total = path.getTotalLength();
      for (let step = 0; step <= 10; step += 1) {
        const { x, y } = path.getPointAtLength((total * (there ? step : 10 - step)) / 10);
        points.push([x - half, y - CHIP / 2]);
      }
    }
    const rest = (frame) => [frame.x, frame.y], within = (box) => {
      const { x, y, w, h } = this.frame(box);
      return [x + w / 2 - half, y + h / 2 - CHIP / 2];
    };
    const slot = this.chips.get(move.chip);
    points.unshift(from ? rest(from) : path ? points[0] : within(a));
    points.push(slot?.offsetParent ? rest(this.frame(slot)) : path ? points.at(-1) : within(b));
    const inside = ([x, y]) => `translate(${Math.min(Math.max(x, 0), WIDTH - 2 * half)}px, ${Math.max(y, 0)}px)`;
    this.animate(chip, points.map((point) => ({ transform: inside(point) })), length, ended);
  }

  vanish(chip, move, length, from, ended) {
    const box = this.boxAt(move.from);
    if (!box) {
      chip.remove();
      ended();
      return;
    }
    const { x, y } = from ?? this.frame(box.chips);
    const transform = `translate(${Math.min(x, WIDTH - chip.offsetWidth)}px, ${y}px)`;
    this.animate(chip, [{ transform, opacity: 1 }, { transform, opacity: 1, offset: 0.6 }, { transform, opacity: 0 }],
      length, ended);
  }

  animate(chip, frames, duration, ended) {
    const animation = chip.animate(frames, { duration, easing: "ease-in-out", fill: "both" });
    this.timers.add(animation);
    const over = () => {
      this.timers.delete(animation);
      chip.remove();
      if (!this.removed) ended();
    };
    animation.finished.then(over, over);
  }

  later(delay, action) {
    if (delay <= 0) {
      action();
      return;
    }
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      action();
    }, delay);
    this.timers.add(timer);
  }

  remove() {
    this.removed = true;
    for (const timer of this.timers) {
      if (typeof timer === "number") clearTimeout(timer);
      else timer.cancel();
    }
    this.timers.clear();
  }
}

/** Draw the last answers of a client. */
function drawAnswers(element, now) {
  element.form.update({ ...now, acts: element.box.form.acts });
  element.answers ??= html("div", "answers", element);
  keep(element.answers, byKey(now.answers ?? [], (one) => one.number), () => {
    const line = html("div");
    html("b", "", line);
    html("span", "", line);
    return line;
  }, (line, one) => {
    line.className = `answer ${one.mood}`;
    write(line.firstChild, `${one.number}`);
    write(line.lastChild, ` ${one.text}`);
    line.title = one.title ?? "";
  });
}

function dressChip(element, chip, more) {
  element.className = `chip ${chip.kind} ${chip.redelivered ? "back" : ""}${more}`;
  write(element, `${SIGNS[chip.kind]} ${chip.label}${chip.redelivered ? " \u21bb" : ""}`);
}

/** Live, pause, one step back, one step forward, slower, jump. */
class TimeLine {
  constructor(parent, source) {
    this.source = source;
    this.root = html("div", "timeline", parent);
    const button = (label, title, act) => {
      const made = html("button", "act", this.root, label);
      made.type = "button";
      made.title = title;
      made.setAttribute("aria-label", title);
      made.addEventListener("click", act);
      return made;
    };
    this.live = source.lasting ? null : button("\u25cf live", "Show what happens now", () => this.play(null, "live"));
    this.pause = button("", "", () => (this.playing || this.time.live ? this.stop() : this.play(this.pace.value)));
    this.earlier = button("\u25c0", "One step back", () => this.go(this.time.at - 1));
    this.later = button("\u25b6", "One step forward", () => this.go(this.time.at + 1));
    this.pace = html("select", "", this.root);
    this.pace.setAttribute("aria-label", "Speed of the playback");
    for (const [name, wait] of PACES) html("option", "", this.pace, name).value = wait;
    this.pace.addEventListener("change", () => this.play(this.pace.value));
    this.bar = html("input", "", this.root);
    this.bar.type = "range";
    this.bar.setAttribute("aria-label", "Step");
    this.bar.addEventListener("input", () => this.go(Number(this.bar.value)));
    this.said = html("span", "said", this.root);
    this.said.setAttribute("role", "status");
  }

  /** Go on step by step, or, without a pace, to the present. */
  play(pace) {
    clearInterval(this.playing);
    this.playing = 0;
    if (pace === null) {
      this.source.send("live");
      return;
    }
    if (this.time.at >= this.time.of) this.source.send("show", this.source.lasting ? this.time.first : this.time.of);
    this.playing = setInterval(() => {
      if (this.time.at < this.time.of) this.source.send("show", this.time.at + 1);
      else if (this.source.lasting) this.stop();
    }, Number(pace));
    this.draw(this.time);
  }

  stop() {
    clearInterval(this.playing);
    this.playing = 0;
    this.go(this.time.at);
  }

  go(step) {
    clearInterval(this.playing);
    this.playing = 0;
    this.source.send("show", Math.min(Math.max(step, this.time.first), this.time.of));
  }

  draw(time) {
    this.time = time;
    if (time.live) clearInterval(this.playing);
    if (time.live) this.playing = 0;
    const runs = this.playing || time.live;
    write(this.pause, runs ? "\u2016 pause" : "\u25b6 play");
    this.pause.title = runs ? "Stay at this step" : "Go on from here, step by step";
    this.pause.setAttribute("aria-label", this.pause.title);
    this.live?.classList.toggle("main", time.live);
    this.root.classList.toggle("past", !time.live);
    this.earlier.disabled = time.at <= time.first;
    this.later.disabled = time.live || time.at >= time.of;
    this.bar.min = time.first;
    this.bar.max = time.of;
    this.bar.value = time.at;
    write(this.said, `step ${time.at} of ${time.of}${time.said ? `: ${time.said}` : ""}`);
    this.said.title = time.said;
  }
}

/** One line high until something in it is opened. */
class Drawer {
  constructor(parent, source) {
    this.source = source;
    this.root = html("div", "drawer", parent);
    const head = html("div", "tabs", this.root);
    this.tabs = html("span", "acts", head);
    this.totals = html("span", "totals", head);
    this.table = html("div", "content", this.root);
    this.message = html("div", "content message", this.root);
    this.message.setAttribute("aria-live", "polite");
  }

  draw(scene, opened, content) {
    keep(this.tabs, new Map(scene.tabs), (_, tab) => {
      const made = html("button", "act tab");
      made.type = "button";
      made.addEventListener("click", () => this.source.open(this.source.get("opened") === tab ? "" : tab));
      return made;
    }, (made, title, tab) => {
      write(made, `${tab === opened ? "\u25be" : "\u25b8"} ${title}`);
      made.setAttribute("aria-expanded", String(tab === opened));
    });
    write(this.totals, scene.summary);
    this.table.hidden = !opened || opened === "message";
    this.message.hidden = opened !== "message";
    if (content?.table && content.tab === opened) drawTable(this.table, content.table, this.source.select, this.source.send);
    if (opened === "message" && (!content || content.tab === opened)) {
      drawMessage(this.message, content?.message, (at) => this.source.send("show", at));
    }
  }
}

/** The picture with its controls, scaled to the available space. */
class Room {
  constructor(el, source) {
    this.source = source;
    this.root = html("div", "rpclab-flow rpclab", el);
    // JupyterLab would take Enter on a chip for its own "edit this cell".
    this.root.setAttribute("data-lm-suppress-shortcuts", "true");
    this.stage = html("div", "stage", this.root);
    this.bar = html("div", "bar", this.stage);
    this.acts = html("span", "acts", this.bar);
    this.status = html("div", "status", this.bar);
    this.status.setAttribute("role", "status");
    this.picture = new Picture(this.stage, source);
    this.timeline = new TimeLine(this.stage, source);
    this.drawer = new Drawer(this.stage, source);
    this.stage.addEventListener("keydown", (event) => this.walk(event));
    this.observer = new ResizeObserver(() => this.fit());
    this.observer.observe(this.root);
    this.observer.observe(this.stage);
    for (const stack of this.stage.querySelectorAll(".above, .below")) this.observer.observe(stack);
    this.refit = () => this.fit();
    addEventListener("resize", this.refit);
    this.update();
  }

  update(moves = []) {
    const scene = this.source.get("scene");
    if (!scene.boxes) return;
    const resting = this.picture.before(moves);
    drawActs(this.acts, scene.acts ?? [], this.source.send);
    write(this.status, scene.status);
    this.status.classList.toggle("bad", Boolean(scene.bad));
    this.bar.hidden = !scene.acts && !scene.status;
    this.picture.draw(scene, this.source.get("desk"));
    this.timeline.draw(scene.time);
    this.rest();
    this.picture.drawWaysOnce();
    this.picture.after(moves, resting);
  }

  /** Draw what is not in the scene: the drawer, and the selected message. */
  rest() {
    const scene = this.source.get("scene"), chosen = this.source.get("selected");
    if (!scene.boxes) return;
    for (const chip of this.picture.chips.values()) chip.classList.toggle("chosen", chip.chip.message === chosen);
    this.drawer.draw(scene, this.source.get("opened"), this.source.get("drawer"));
  }

  /** Draw the clients' last answers, without delay. */
  answer() {
    const desk = this.source.get("desk");
    for (const box of this.picture.boxes.values()) if (box.box?.form && box.form) drawAnswers(box, desk?.[box.box.form.client] ?? {});
  }

  /** As large as the window allows: all of it is visible at once, except an open drawer where that would be tiny. */
  fit() {
    const width = this.root.clientWidth, stage = this.stage.offsetHeight;
    if (!width || !stage) return;
    const wide = width / WIDTH, opened = this.drawer.root.offsetHeight - 30;
    const tall = this.room() / stage, closed = this.room() / (stage - opened);
    const scale = Math.min(wide, Math.max(tall, Math.min(closed, LEAST), 0.4));
    this.stage.style.transform = `scale(${scale})`;
    this.stage.style.marginLeft = `${Math.max(0, (width - scale * WIDTH) / 2)}px`;
    this.root.style.height = `${Math.ceil(stage * scale)}px`;
    this.picture.drawWays();
  }

  /** The height of the scrolling element around it, or of the window. */
  room() {
    for (let one = this.root.parentElement; one && one !== document.body; one = one.parentElement) {
      if (/auto|scroll/.test(getComputedStyle(one).overflowY) && one.clientHeight > 240 &&
          (one.scrollHeight > one.clientHeight + 1 || one.matches(".jp-WindowedPanel-outer, .jp-LinkedOutputView *"))) {
        return one.clientHeight - 16;
      }
    }
    return innerHeight - 16;
  }

  /** Arrow keys go to the nearest button or chip in that direction. */
  walk(event) {
    const way = ARROWS[event.key];
    if (!way || !event.target.matches("button")) return;
    const middle = (one) => {
      const { left, right, top, bottom } = one.getBoundingClientRect();
      return [(left + right) / 2, (top + bottom) / 2];
    };
    const [x, y] = middle(event.target);
    let best = null, least = Infinity;
    for (const one of this.stage.querySelectorAll("button:enabled, input, select")) {
      const [dx, dy] = middle(one).map((at, axis) => at - [x, y][axis]);
      const along = dx * way[0] + dy * way[1], aside = Math.abs(dx * way[1]) + Math.abs(dy * way[0]);
      if (along > 2 && one.offsetParent && along + 3 * aside < least) [best, least] = [one, along + 3 * aside];
    }
    if (!best) return;
    event.preventDefault();
    event.stopPropagation();
    best.focus();
  }

  remove() {
    clearInterval(this.timeline.playing);
    removeEventListener("resize", this.refit);
    this.observer.disconnect();
    this.picture.remove();
  }
}

/** A small widget: a title, a form, a table, a line. */
class Card {
  constructor(el, source) {
    this.source = source;
    this.root = html("div", "rpclab rpclab-pane", el);
    this.root.setAttribute("data-lm-suppress-shortcuts", "true");
    const head = html("div", "head", this.root);
    this.title = html("b", "", head);
    this.code = html("code", "", head);
    this.acts = html("span", "acts", head);
    this.body = html("div", "body", this.root);
    this.progress = html("progress", "", this.root);
    this.table = html("div", "content", this.root);
    this.note = html("div", "quiet", this.root);
    this.note.setAttribute("role", "status");
    this.update();
  }

  update() {
    const { card } = this.source.get("scene");
    if (!card) return;
    write(this.title, card.title);
    write(this.code, card.code);
    drawActs(this.acts, card.acts ?? [], this.source.send);
    if (card.form) {
      this.form ??= new Form(this.body, card.form, this.source.send);
      this.form.update(card.form);
    }
    const [done, total] = card.progress ?? [0, 0];
    this.progress.hidden = total < 2;
    this.progress.max = total || 1;
    this.progress.value = done;
    this.progress.setAttribute("aria-label", `${done} of ${total} done`);
    drawTable(this.table, card.table, () => {}, this.source.send);
    write(this.note, card.note);
  }

  remove() {}
}

const view = (el, source) => (source.get("kind") === "card" ? new Card(el, source) : new Room(el, source));

export default {
  render({ model, el }) {
    const set = (values) => {
      for (const [name, value] of Object.entries(values)) model.set(name, value);
      model.save_changes();
    };
    const source = {
      get: (name) => model.get(name),
      send: (act, ...args) => model.send({ do: act, args }),
      select: (number) => set({ selected: number, opened: "message" }),
      open: (tab) => set({ opened: tab }),
    };
    const shown = view(el, source);
    const heard = {
      "change:scene": () => shown.update(model.get("scene").moves ?? []),
      "change:desk": () => shown.answer(),
      "change:selected change:opened change:drawer": () => shown.rest(),
    };
    for (const [name, act] of Object.entries(heard)) model.on(name, act);
    return () => {
      for (const [name, act] of Object.entries(heard)) model.off(name, act);
      shown.remove();
    };
  },
};

/** Show the recording in the page: the first scene, the changes of each step, and the details of each message. */
export function play(el, data) {
  el.replaceChildren();
  const scenes = [data.first];
  for (const change of data.changes) {
    const before = scenes.at(-1), chips = { ...before.chips, ...change.chips };
    for (const [number, chip] of Object.entries(chips)) if (!chip) delete chips[number];
    const boxes = before.boxes.map((box) => (change.boxes[box.key] ? { ...box, ...change.boxes[box.key] } : box));
    scenes.push({ ...before, ...change, boxes, chips });
  }
  const state = { scene: scenes[0], selected: 0, opened: "" };
  const set = (values, moves) => {
    Object.assign(state, values);
    shown.update(moves);
  };
  const source = {
    lasting: true,
    get: (name) => (name === "drawer"
      ? { tab: state.opened, table: data.table, message: data.messages[state.selected] } : state[name]),
    send: (act, step) => {
      const forward = step === state.scene.time.at + 1, scene = scenes[step];
      set({ scene }, forward ? scene.moves : []);
    },
    select: (number) => set({ selected: number, opened: "message" }),
    open: (tab) => set({ opened: tab }),
  };
  const shown = new Room(el, source);
}
