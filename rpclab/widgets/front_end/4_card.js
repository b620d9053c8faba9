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
