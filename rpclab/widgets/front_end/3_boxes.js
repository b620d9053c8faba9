// What rests in the picture: boxes, and the chips in them.

class Boxes {
  constructor(source) {
    this.source = source;
    this.elements = new Map(); // key -> element
    this.chips = new Map(); // chip -> element at rest
    this.flying = new Map(); // chip -> how many moves of it are still to be seen
  }

  draw(scene, columns, desk) {
    this.scene = scene;
    this.shown = new Set();
    for (const [name, column] of columns) {
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
    for (const [key, element] of parent.kept) if (key.startsWith("group ")) this.elements.set(key, element);
  }

  makeBox(key) {
    const made = html("div", "box");
    for (const name of ["name", "state", "chips", "said", "acts"]) made[name] = html("span", name, made);
    made.more = html("span", "more");
    this.elements.set(key, made);
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
    element.more.remove();
    const all = [...element.chips.children];
    element.chips.append(element.more);
    const count = (left) => write(element.more, left > 0 ? `+ ${left.toLocaleString("en")}` : "");
    count(box.count - all.length);
    while (all.length > 1 && element.chips.scrollWidth > element.chips.clientWidth) {
      all.pop().hidden = true;
      count(box.count - all.length);
    }
    if (!element.more.textContent) element.more.remove();
  }

  /** Hide a chip that is seen to move, until its last move has ended. */
  expect(chip, change) {
    const left = (this.flying.get(chip) ?? 0) + change;
    if (left > 0) this.flying.set(chip, left);
    else this.flying.delete(chip);
    const resting = this.chips.get(chip);
    if (resting) resting.style.visibility = left > 0 ? "hidden" : "";
  }
}
