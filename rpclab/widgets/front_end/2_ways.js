// The paths between the boxes of the picture, in its own units.

const WIDTH = 860;
let drawings = 0;

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

/** Where an element is inside another one that is around it. */
function frameIn(root, element) {
  let x = 0, y = 0, one = element;
  for (; one && one !== root; one = one.offsetParent) {
    x += one.offsetLeft;
    y += one.offsetTop;
  }
  return { x, y, w: element.offsetWidth, h: element.offsetHeight };
}

class Ways {
  constructor(root) {
    this.root = root;
    this.id = ++drawings;
    this.svg = svg("svg", { class: "ways", "aria-hidden": "true" }, root);
    const defs = svg("defs", {}, this.svg);
    for (const kind of ["request", "reply"]) {
      const tip = svg("marker", { id: `rpclab-${kind}-${this.id}`, viewBox: "0 0 8 8", refX: 5, refY: 4, markerWidth: 8,
        markerHeight: 8, orient: "auto-start-reverse", markerUnits: "userSpaceOnUse" }, defs);
      svg("path", { d: "M0 0L8 4L0 8Z", class: `tip ${kind}` }, tip);
    }
    this.group = svg("g", {}, this.svg);
    this.names = new Map(); // box -> the name of its frame
    this.paths = new Map(); // way -> path element
  }

  /** Draw the paths if they have changed; when boxes change their sizes, they are drawn anyway. */
  drawOnce(scene, columns, boxes) {
    const wanted = JSON.stringify([scene.lines, scene.boxes.map((box) => [box.key, box.lane])]);
    if (wanted !== this.drawn) this.draw(scene, columns, boxes);
    this.drawn = wanted;
  }

  /** Draw the paths, once the boxes are in place. */
  draw(scene, all, boxes) {
    const height = this.root.clientHeight;
    this.svg.setAttribute("viewBox", `0 0 ${WIDTH} ${height}`);
    const columns = [...all.values()].filter((column) => !column.element.hidden);
    const frames = new Map();
    for (const column of columns) column.frames = [];
    for (const box of scene.boxes) {
      const name = box.group ? `group ${box.group}` : box.key;
      if (frames.has(name)) continue;
      const column = all.get(box.role), frame = { ...frameIn(this.root, boxes.get(name)), column, name, ports: {} };
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
    keep(this.group, ways, () => svg("path", {}, null), (path, { a, b, kind, start, end }) => {
      path.setAttribute("class", `way ${kind}`);
      path.setAttribute("marker-end", `url(#rpclab-${kind}-${this.id})`);
      path.setAttribute("d", route({ ...a, port: start }, { ...b, port: end }, columns, height));
    });
    this.paths = this.group.kept;
  }
}
