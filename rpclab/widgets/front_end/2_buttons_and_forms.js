// What one presses and fills in, and a client's last answers below it.

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
