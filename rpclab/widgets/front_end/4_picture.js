/** The columns of boxes, the paths between them, and the chips that move on them. */
class Picture {
  constructor(parent, source) {
    this.root = html("div", "picture", parent);
    this.ways = new Ways(this.root);
    this.columns = new Map();
    for (const name of ["client", "exchange", "queue", "worker"]) {
      const column = html("div", `column ${name}`, this.root);
      this.columns.set(name, { element: column, above: html("div", "above", column), below: html("div", "below", column) });
    }
    this.boxes = new Boxes(source);
    this.flights = new Flights(this.root, this.boxes, this.ways);
    const legend = html("div", "quiet legend", this.columns.get("worker").element);
    for (const [kind, sign] of Object.entries(SIGNS)) html("span", `chip ${kind}`, legend, `${sign} ${kind}`);
    html("span", "chip back", legend, "\u21bb redelivered");
    html("span", "", legend, "\u2713 acked");
    this.empty = html("div", "quiet nothing", this.root, "Nothing here yet: no queue, no consumer, no message.");
  }

  draw(scene, desk) {
    this.scene = scene;
    this.empty.hidden = scene.boxes.length > 0;
    this.root.classList.toggle("exchanges", scene.boxes.some((box) => box.role === "exchange"));
    this.boxes.draw(scene, this.columns, desk);
  }

  drawWaysOnce() {
    this.ways.drawOnce(this.scene, this.columns, this.boxes.elements);
  }

  /** Draw the paths, once the boxes are in place. */
  drawWays() {
    if (this.scene?.boxes) this.ways.draw(this.scene, this.columns, this.boxes.elements);
  }
}
