// What moves in the picture.

const CHIP = 22;
const HOP = 420, BACK = 800, END = 380, BAD_END = 1100, LATEST = 4000, MOST_FLYING = 90, JOIN = 450, BEHIND = 70;
const ENDS = {
  acked: "\u2713", rejected: "\u2715 rejected", returned: "\u21a9 returned", expired: "\u2715 expired",
  "no queue": "\u2715 no queue", removed: "\u2715 removed",
};
const BACKWARD = ["requeued", "lost"];

class Flights {
  constructor(root, boxes, ways) {
    this.root = root;
    this.boxes = boxes;
    this.ways = ways;
    this.moving = html("div", "moving", root);
    this.moving.setAttribute("aria-hidden", "true");
    this.busy = new Map(); // message -> when its last move ends
    this.last = new Map(); // way -> when the last chip on it started
    this.thick = new Map(); // way -> the chip for many that is on it
    this.timers = new Set();
    this.stillness = matchMedia("(prefers-reduced-motion: reduce)");
  }

  /** Record what will move, before the boxes are drawn; returns where the chips rest. */
  before(moves) {
    this.animated = moves.length > 0 && !this.stillness.matches && !document.hidden && this.root.isConnected;
    if (!this.animated) return null;
    moves.forEach((move) => move.count || this.boxes.expect(move.chip, 1));
    return new Map([...this.boxes.chips].filter(([, chip]) => chip.offsetParent).map(([number, chip]) => [number, frameIn(this.root, chip)]));
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
      this.boxes.expect(move.chip, -1);
      return;
    }
    this.busy.set(move.message, start + length);
    if (move.to) this.last.set(way, start);
    const from = resting.get(move.chip);
    this.later(start - now, () => {
      const ended = () => {
        this.boxes.expect(move.chip, -1);
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
    const found = this.ways.names.has(key) ? key : [...this.ways.names.keys()].find((known) => known.startsWith(others));
    return found ? this.boxes.elements.get(found) : null;
  }

  travel(chip, move, length, from, ended) {
    const [a, b] = [this.boxAt(move.from), this.boxAt(move.to)];
    if (!a || !b) {
      chip.remove();
      ended();
      return;
    }
    const [one, other] = [this.ways.names.get(a.box.key), this.ways.names.get(b.box.key)];
    const there = this.ways.paths.get(`${one}\n${other}`), back = this.ways.paths.get(`${other}\n${one}`), path = there ?? back;
    const half = chip.offsetWidth / 2, points = [];
    if (path) {
      const total = path.getTotalLength();
      for (let step = 0; step <= 10; step += 1) {
        const { x, y } = path.getPointAtLength((total * (there ? step : 10 - step)) / 10);
        points.push([x - half, y - CHIP / 2]);
      }
    }
    const rest = (frame) => [frame.x, frame.y], within = (box) => {
      const { x, y, w, h } = frameIn(this.root, box);
      return [x + w / 2 - half, y + h / 2 - CHIP / 2];
    };
    const slot = this.boxes.chips.get(move.chip);
    points.unshift(from ? rest(from) : path ? points[0] : within(a));
    points.push(slot?.offsetParent ? rest(frameIn(this.root, slot)) : path ? points.at(-1) : within(b));
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
    const { x, y } = from ?? frameIn(this.root, box.chips);
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
