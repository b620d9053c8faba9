const LEAST = 0.8;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

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
    const resting = this.picture.flights.before(moves);
    drawActs(this.acts, scene.acts ?? [], this.source.send);
    write(this.status, scene.status);
    this.status.classList.toggle("bad", Boolean(scene.bad));
    this.bar.hidden = !scene.acts && !scene.status;
    this.picture.draw(scene, this.source.get("desk"));
    this.timeline.draw(scene.time);
    this.rest();
    this.picture.drawWaysOnce();
    this.picture.flights.after(moves, resting);
  }

  /** Draw what is not in the scene: the drawer, and the selected message. */
  rest() {
    const scene = this.source.get("scene"), chosen = this.source.get("selected");
    if (!scene.boxes) return;
    for (const chip of this.picture.boxes.chips.values()) chip.classList.toggle("chosen", chip.chip.message === chosen);
    this.drawer.draw(scene, this.source.get("opened"), this.source.get("drawer"));
  }

  /** Draw the clients' last answers, without delay. */
  answer() {
    const desk = this.source.get("desk");
    for (const box of this.picture.boxes.elements.values()) if (box.box?.form && box.form) drawAnswers(box, desk?.[box.box.form.client] ?? {});
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
    this.picture.flights.remove();
  }
}
