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
