// Where a notebook and a page begin.

const view = (el, source) => (source.get("kind") === "card" ? new Card(el, source) : new Room(el, source));

export default {
  render({ model, el }) {
    const set = (values) => {
      for (const [name, value] of Object.entries(values)) model.set(name, value);
      model.save_changes();
    };
    const source = {
      get: (name) => model.get(name),
      send: (act, ...args) => model.send({ do: act, args }),
      select: (number) => set({ selected: number, opened: "message" }),
      open: (tab) => set({ opened: tab }),
    };
    const shown = view(el, source);
    const heard = {
      "change:scene": () => shown.update(model.get("scene").moves ?? []),
      "change:desk": () => shown.answer(),
      "change:selected change:opened change:drawer": () => shown.rest(),
    };
    for (const [name, act] of Object.entries(heard)) model.on(name, act);
    return () => {
      for (const [name, act] of Object.entries(heard)) model.off(name, act);
      shown.remove();
    };
  },
};

/** Show the recording in the page: the first scene, the changes of each step, and the details of each message. */
export function play(el, data) {
  el.replaceChildren();
  const scenes = [data.first];
  for (const change of data.changes) {
    const before = scenes.at(-1), chips = { ...before.chips, ...change.chips };
    for (const [number, chip] of Object.entries(chips)) if (!chip) delete chips[number];
    const boxes = before.boxes.map((box) => (change.boxes[box.key] ? { ...box, ...change.boxes[box.key] } : box));
    scenes.push({ ...before, ...change, boxes, chips });
  }
  const state = { scene: scenes[0], selected: 0, opened: "" };
  const set = (values, moves) => {
    Object.assign(state, values);
    shown.update(moves);
  };
  const source = {
    lasting: true,
    get: (name) => (name === "drawer"
      ? { tab: state.opened, table: data.table, message: data.messages[state.selected] } : state[name]),
    send: (act, step) => {
      const forward = step === state.scene.time.at + 1, scene = scenes[step];
      set({ scene }, forward ? scene.moves : []);
    },
    select: (number) => set({ selected: number, opened: "message" }),
    open: (tab) => set({ opened: tab }),
  };
  const shown = new Room(el, source);
}
