const PACES = [["normal", 700], ["slower", 1500], ["slowest", 3000]];

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
