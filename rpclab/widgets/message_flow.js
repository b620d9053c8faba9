// Draws a MessageFlow. `scene` describes all there is to see at a time, and what moved since the scene before. What
// moves is decoration over what rests: a view made late, hidden for a while or without animation shows the same.
// Whatever comes from outside goes through textContent and setAttribute alone.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = { least: 760, most: 1000 };
const ROW = 34, CHIP = 26, GAP = 14, HEAD = 26, PLAIN = 56, LINE = 20;
const HOP = 420, BACK = 800, END = 380, BAD_END = 1100, LATEST = 4000, MOST_FLYING = 90, JOIN = 450, BEHIND = 70;
const SIGNS = { request: "?", reply: "=", message: "\u2022" };
const ENDS = {
  acked: "\u2713", rejected: "\u2715 rejected", returned: "\u21a9 returned", expired: "\u2715 expired",
  "no queue": "\u2715 no queue", removed: "\u2715 removed",
};
const BACKWARD = ["requeued", "lost"];

let views = 0;

function html(tag, className, parent, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  parent?.append(made);
  return made;
}

function svg(tag, attributes, parent) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  parent?.append(made);
  return made;
}

/** Keep one element for each item: elements stay the same ones, so that focus stays where it is. */
function keep(elements, items, make, update) {
  for (const [key, element] of elements) {
    if (!items.has(key)) {
      element.remove();
      elements.delete(key);
    }
  }
  for (const [key, item] of items) {
    if (!elements.has(key)) elements.set(key, make(item, key));
    update(elements.get(key), item, key);
  }
}

/** Write a text, a little smaller if it is long, and cut to a width; the whole of it is then its tooltip. */
function fit(element, text, width) {
  const wanted = `${text}|${Math.round(width)}`;
  if (element.dataset.fitted === wanted) return;
  element.textContent = text;
  element.style.fontSize = "";
  if (element.getComputedTextLength() > width) element.style.fontSize = "14px";
  const length = element.getComputedTextLength();
  if (!length) return; // not on the screen yet
  element.dataset.fitted = wanted;
  if (length > width) {
    let most = Math.floor((text.length * width) / length);
    do element.textContent = `${text.slice(0, Math.max(1, most))}\u2026`;
    while (element.getComputedTextLength() > width && --most > 0);
    svg("title", {}, element).textContent = text;
  }
}

// Where everything is

function hasRow(box) {
  return box.role === "queue" || box.role === "worker" || Boolean(box.lane) || box.chips.length > 0;
}

function heightOf(box) {
  return PLAIN + LINE * (box.said.length - 1) + (hasRow(box) ? ROW : 0);
}

/** Place the boxes in columns, the way back below: key -> {x, y, w, h, row}, the headings, and the height of all. */
function arrange(boxes, width) {
  const hasExchange = boxes.some((box) => box.role === "exchange");
  const columns = hasExchange
    ? { client: [0, 0.215], exchange: [0.265, 0.17], queue: [0.485, 0.225], worker: [0.76, 0.24] }
    : { client: [0, 0.24], queue: [0.325, 0.34], worker: [0.75, 0.25] };
  const places = new Map(), heads = [];
  let top = 0;
  // On the way back there is no exchange, and the queues' names are long.
  const back = { client: columns.client, queue: hasExchange ? [0.36, 0.35] : columns.queue };
  for (const [lane, columnsHere, titles] of [
    ["", columns, { client: "clients", exchange: "exchange", queue: "queues", worker: "consumers" }],
    ["callback", back, { client: "callback workers", queue: "callback queues: the way back" }],
  ]) {
    const inLane = boxes.filter((box) => box.lane === lane);
    const stacks = Object.keys(columnsHere).map((role) => [role, inLane.filter((box) => box.role === role)]);
    const tall = ([, stack]) => stack.reduce((sum, box) => sum + heightOf(box) + GAP, 0);
    const height = Math.max(...stacks.map(tall));
    if (!height) continue;
    for (const [role, stack] of stacks) {
      const [x, w] = columnsHere[role].map((part) => part * width);
      if (stack.length) heads.push({ key: `${lane}:${role}`, text: titles[role], x: x + 2, y: top + 17, w });
      let y = top + HEAD + (lane ? 0 : (height - tall([role, stack])) / 2);
      for (const box of stack) {
        places.set(box.key, { x: x + 2, y, w: w - 4, h: heightOf(box), row: hasRow(box) });
        y += heightOf(box) + GAP;
      }
    }
    top += HEAD + height + 6;
  }
  return { places, heads, height: Math.max(top, 40) };
}

/** The four points of the curve from one box to another, leaving and arriving at the sides that face each other. */
function curve(a, b) {
  const right = a.x + a.w < b.x, left = b.x + b.w < a.x;
  if (!right && !left) {
    const down = a.y < b.y;
    const x = a.x + a.w * 0.8;
    const [from, to] = down ? [a.y + a.h, b.y] : [a.y, b.y + b.h];
    return [[x, from], [x + 30, from], [x + 30, to], [x, to]];
  }
  // The way back leaves and arrives lower than the way there.
  const part = right ? 0.42 : 0.72;
  const start = [right ? a.x + a.w : a.x, a.y + a.h * part];
  const end = [right ? b.x : b.x + b.w, b.y + b.h * (right ? 0.42 : 0.6)];
  const bend = (end[0] - start[0]) / 2;
  return [start, [start[0] + bend, start[1]], [end[0] - bend, end[1]], end];
}

function along([a, b, c, d], t) {
  const s = 1 - t, mix = (i) => s * s * s * a[i] + 3 * s * s * t * b[i] + 3 * s * t * t * c[i] + t * t * t * d[i];
  return [mix(0), mix(1)];
}

// Chips

function widthOf(label) {
  return 18 + 8.6 * [...label].length;
}

function outline(kind, w, h) {
  const r = kind === "reply" ? h / 2 : 3, cut = kind === "message" ? 8 : r;
  if (kind === "message") return `M0 0H${w - cut}L${w} ${cut}V${h}H0Z`;
  return `M${r} 0H${w - r}A${r} ${r} 0 0 1 ${w} ${r}V${h - r}A${r} ${r} 0 0 1 ${w - r} ${h}` +
    `H${r}A${r} ${r} 0 0 1 0 ${h - r}V${r}A${r} ${r} 0 0 1 ${r} 0Z`;
}

function textOf(chip) {
  return `${SIGNS[chip.kind]} ${chip.label}${chip.redelivered ? " \u21bb" : ""}`;
}

function makeChip(parent) {
  const made = svg("g", {}, parent);
  svg("path", {}, made);
  svg("text", { "text-anchor": "middle", "dominant-baseline": "central" }, made);
  return made;
}

function drawChip(element, kind, className, text, height = CHIP) {
  const w = widthOf(text);
  element.setAttribute("class", `chip ${className}`);
  element.firstChild.setAttribute("d", outline(kind, w, height));
  element.lastChild.textContent = text;
  element.lastChild.setAttribute("x", w / 2);
  element.lastChild.setAttribute("y", height / 2 + 1);
  return w;
}

class View {
  constructor(model, el) {
    this.model = model;
    this.scene = model.get("scene");
    this.id = ++views;
    this.build(el);
    this.boxes = new Map();
    this.chips = new Map();
    this.lines = new Map();
    this.heads = new Map();
    this.recent = new Map();
    this.slots = new Map(); // chip -> where it rests
    this.flying = new Map(); // chip -> how many moves of it are still to be seen
    this.busy = new Map(); // message -> when its last move ends
    this.last = new Map(); // way -> when the last chip on it started
    this.thick = new Map(); // way -> the chip for many that is on it
    this.timers = new Set();
    this.known = {};
    this.stillness = matchMedia("(prefers-reduced-motion: reduce)");
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.root);
    this.draw();
  }

  build(el) {
    this.root = html("div", "rpclab-flow", el);
    // JupyterLab would take Enter on a chip for its own "edit this cell".
    this.root.setAttribute("data-lm-suppress-shortcuts", "true");
    html("div", "rpclab-flow-title", this.root, "Messages on their way");
    this.totals = html("div", "rpclab-flow-totals", this.root);
    this.status = html("div", "rpclab-flow-status", this.root);
    this.status.setAttribute("role", "status");
    this.empty = html("div", "rpclab-flow-empty", this.root);
    this.svg = svg("svg", { role: "group", "aria-label": "Where the messages are" }, this.root);
    const tip = svg("marker", {
      id: `rpclab-flow-tip-${this.id}`, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 8, markerHeight: 8,
      orient: "auto-start-reverse", markerUnits: "userSpaceOnUse",
    }, svg("defs", {}, this.svg));
    svg("path", { d: "M0 0L8 4L0 8Z", class: "tip" }, tip);
    [this.lineLayer, this.boxLayer, this.headLayer, this.chipLayer, this.movingLayer] =
      [0, 1, 2, 3, 4].map(() => svg("g", {}, this.svg));
    this.movingLayer.setAttribute("aria-hidden", "true");
    html("div", "rpclab-flow-legend", this.root,
      `${SIGNS.request} request   ${SIGNS.reply} reply   ${SIGNS.message} message   \u21bb redelivered   \u2713 acked`);
    const below = html("div", "rpclab-flow-below", this.root);
    const left = html("div", "", below), right = html("div", "", below);
    html("h3", "", left, "Recent messages");
    this.list = html("ol", "rpclab-flow-recent", left);
    this.details = html("div", "rpclab-flow-details", right);
    this.details.setAttribute("aria-live", "polite");
  }

  update() {
    const before = this.scene;
    this.scene = this.model.get("scene");
    const moves = this.scene.batch === before.batch ? [] : this.scene.moves;
    const animated = !this.stillness.matches && !document.hidden && this.root.isConnected;
    if (animated) moves.forEach((move) => move.count || this.expect(move.chip, 1));
    const resting = new Map(this.slots);
    this.draw();
    if (animated) moves.forEach((move, order) => (move.count ? this.flyMany(move, order) : this.fly(move, resting)));
  }

  draw() {
    const scene = this.scene;
    if (!scene.boxes) return;
    const room = this.root.clientWidth - 28;
    this.width = Math.min(WIDTH.most, Math.max(WIDTH.least, room > 0 ? room : WIDTH.most));
    const { places, heads, height } = arrange(scene.boxes, this.width);
    this.places = places;
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${height}`);
    this.svg.style.display = scene.boxes.length ? "" : "none";
    this.empty.textContent = scene.boxes.length ? "" : "Nothing here yet: no queue, no consumer, no message.";
    this.status.textContent = scene.status;
    this.totals.textContent = scene.summary;
    this.drawLines(scene.lines);
    this.drawBoxes(scene.boxes);
    this.drawHeads(heads);
    this.drawChips(scene);
    this.drawRecent(scene.recent);
    this.drawDetails();
  }

  drawLines(lines) {
    const items = new Map(lines.map((line) => [line.join("\n"), line]));
    keep(this.lines, items, () => svg("path", { class: "line", "marker-end": `url(#rpclab-flow-tip-${this.id})` },
      this.lineLayer), (element, [from, to]) => {
      const [a, b, c, d] = curve(this.places.get(from), this.places.get(to));
      element.setAttribute("d", `M${a}C${b} ${c} ${d}`);
    });
  }

  drawBoxes(boxes) {
    const items = new Map(boxes.map((box) => [box.key, box]));
    keep(this.boxes, items, () => {
      const made = svg("g", {}, this.boxLayer);
      svg("rect", { class: "frame" }, made);
      svg("text", { class: "name" }, made);
      svg("text", { class: "said" }, made);
      svg("text", { class: "said" }, made);
      svg("text", { class: "more", "text-anchor": "end" }, made);
      return made;
    }, (element, box) => {
      const { x, y, w, h } = this.places.get(box.key);
      const [frame, name, said, below, more] = element.children;
      const classes = [box.role, box.gone && "gone", box.role !== "queue" && box.unacked && "unacked"];
      element.setAttribute("class", `box ${classes.filter(Boolean).join(" ")}`);
      element.setAttribute("transform", `translate(${x} ${y})`);
      for (const [attribute, value] of Object.entries({ width: w, height: h, rx: box.role === "queue" ? 3 : 12 })) {
        frame.setAttribute(attribute, value);
      }
      fit(name, box.name, w - 20);
      fit(said, box.said[0] ?? "", w - 20);
      fit(below, box.said[1] ?? "", w - 20);
      for (const [text, at] of [[name, 24], [said, 45], [below, 45 + LINE]]) {
        text.setAttribute("x", 10);
        text.setAttribute("y", at);
      }
      more.setAttribute("x", w - 10);
      more.setAttribute("y", h - 14);
      more.textContent = "";
    });
  }

  drawHeads(heads) {
    const items = new Map(heads.map((head) => [head.key, head]));
    keep(this.heads, items, () => svg("text", { class: "head" }, this.headLayer), (element, head) => {
      element.setAttribute("x", head.x);
      element.setAttribute("y", head.y);
      fit(element, head.text, head.w);
    });
  }

  /** Lay out the chips of each box in a row; what has no room in it is counted. */
  drawChips(scene) {
    const items = new Map();
    this.slots.clear();
    for (const box of scene.boxes) {
      const place = this.places.get(box.key);
      let x = 10, shown = 0;
      for (const number of box.chips) {
        const chip = scene.chips[number], width = widthOf(textOf(chip));
        const rest = box.count - shown - 1;
        if (shown && x + width > place.w - (rest ? 52 : 8)) break;
        this.slots.set(number, { x: place.x + x, y: place.y + place.h - ROW });
        items.set(number, { ...chip, where: box.name, held: box.role !== "queue" && box.role !== "exchange" });
        x += width + 6;
        shown += 1;
      }
      if (shown < box.count) {
        this.boxes.get(box.key).lastChild.textContent = `+ ${(box.count - shown).toLocaleString("en")}`;
      }
    }
    keep(this.chips, items, () => this.pressable(makeChip(this.chipLayer)), (element, chip, number) => {
      const chosen = chip.message === this.model.get("selected");
      drawChip(element, chip.kind, `${chip.redelivered ? "back" : chip.kind}${chosen ? " chosen" : ""}`, textOf(chip));
      element.dataset.message = chip.message;
      const how = chip.held ? "unacked at" : "in";
      element.setAttribute("aria-label",
        `${chip.name}, ${chip.label}, ${how} ${chip.where}${chip.redelivered ? ", redelivered" : ""}`);
      const { x, y } = this.slots.get(number);
      element.setAttribute("transform", `translate(${x} ${y})`);
      element.style.visibility = this.flying.has(number) ? "hidden" : "";
    });
  }

  drawRecent(recent) {
    const items = new Map([...recent].reverse().map((message) => [message.message, message]));
    keep(this.recent, items, () => {
      const line = html("li", "", null);
      this.list.prepend(line);
      this.pressable(html("button", "", line));
      return line;
    }, (line, message) => {
      const button = line.firstChild;
      button.dataset.message = message.message;
      button.className = message.message === this.model.get("selected") ? "chosen" : "";
      button.title = message.state;
      button.textContent = `${SIGNS[message.kind]} ${message.name}: ${message.label} \u2014 ${message.state}`;
    });
  }

  drawDetails() {
    const number = this.model.get("selected");
    const said = this.scene.details[number] ?? this.known[number];
    this.known = said ? { [number]: said } : {};
    const drawn = JSON.stringify([number, said]);
    if (drawn === this.drawnDetails) return;
    this.drawnDetails = drawn;
    this.details.replaceChildren();
    html("h3", "", this.details, said ? said.title : "Details");
    if (!said) {
      html("div", "rpclab-flow-empty", this.details, "Choose a message: click it, or Tab to it and press Enter.");
      return;
    }
    const rows = html("dl", "", this.details), steps = html("ol", "", this.details);
    for (const [name, value] of said.rows) {
      html("dt", "", rows, name);
      html("dd", "", rows, value);
    }
    for (const step of said.steps) html("li", "", steps, step);
  }

  pressable(element) {
    element.setAttribute("tabindex", "0");
    element.setAttribute("role", "button");
    element.addEventListener("click", () => this.choose(Number(element.dataset.message)));
    element.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      event.stopPropagation();
      this.choose(Number(element.dataset.message));
    });
    return element;
  }

  choose(message) {
    this.model.set("selected", message);
    this.model.save_changes();
    this.draw();
  }

  // What moves

  expect(chip, change) {
    const left = (this.flying.get(chip) ?? 0) + change;
    if (left > 0) this.flying.set(chip, left);
    else this.flying.delete(chip);
    const resting = this.chips.get(chip);
    if (resting) resting.style.visibility = left > 0 ? "hidden" : "";
  }

  /** Show one move when those before it, of the same message or of what it answers, have been seen. */
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
      const chip = makeChip(this.movingLayer);
      chip.addEventListener("click", () => this.choose(move.message));
      const text = move.to ? textOf(move) : ENDS[move.how] ?? move.how;
      const look = bad ? "bad" : backward || move.redelivered ? "back" : move.kind;
      const width = drawChip(chip, move.kind, `${look} moving`, move.to || bad ? text : `${textOf(move)} ${text}`);
      if (move.to) this.travel(chip, move, width, length, from, ended);
      else this.vanish(chip, move, width, length, from, ended);
    });
  }

  /** Show one thick chip for many messages on the same way; more of them on it are added to its count. */
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
      const chip = makeChip(this.movingLayer);
      many.show = () => drawChip(chip, "many", `${BACKWARD.includes(move.how) ? "back" : "many"} moving`,
        `\u00d7 ${many.count.toLocaleString("en")}`, 34);
      this.travel(chip, move, many.show(), 1.5 * HOP, null, () => {
        if (this.thick.get(way) === many) this.thick.delete(way);
      });
    });
  }

  boxAt(key) {
    if (!key) return null;
    const role = key.slice(0, key.indexOf(":"));
    const others = [...this.places.keys()].find((known) => known.startsWith(`${role}:\0others`));
    return this.places.get(key) ?? this.places.get(others);
  }

  travel(chip, move, width, length, from, ended) {
    const a = this.boxAt(move.from), b = this.boxAt(move.to);
    if (!a || !b) {
      chip.remove();
      ended();
      return;
    }
    const path = curve(a, b), middle = ([x, y]) => [x - width / 2, y - CHIP / 2];
    const points = [0, 1, 2, 3, 4, 5, 6, 7, 8].map((step) => middle(along(path, step / 8)));
    if (from) points.unshift([from.x, from.y]);
    const slot = this.slots.get(move.chip);
    if (slot) points.push([slot.x, slot.y]);
    const inside = ([x, y]) => [Math.min(Math.max(x, 0), this.width - width), Math.max(y, 0)];
    this.animate(chip, points.map(inside).map(([x, y]) => ({ transform: `translate(${x}px, ${y}px)` })), length, ended);
  }

  vanish(chip, move, width, length, from, ended) {
    const box = this.boxAt(move.from);
    if (!box) {
      chip.remove();
      ended();
      return;
    }
    const [x, y] = from ? [from.x, from.y] : [box.x + 10, box.y + box.h - (box.row ? ROW : CHIP / 2)];
    const transform = `translate(${Math.min(x, this.width - width)}px, ${y}px)`;
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
    this.observer.disconnect();
    for (const timer of this.timers) {
      if (typeof timer === "number") clearTimeout(timer);
      else timer.cancel();
    }
    this.timers.clear();
  }
}

export default {
  render({ model, el }) {
    const view = new View(model, el);
    const update = () => view.update(), draw = () => view.draw();
    model.on("change:scene", update);
    model.on("change:selected", draw);
    return () => {
      model.off("change:scene", update);
      model.off("change:selected", draw);
      view.remove();
    };
  },
};
