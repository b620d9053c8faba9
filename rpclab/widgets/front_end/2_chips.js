// A message as a chip, at rest or moving.

const SIGNS = { request: "?", reply: "=", message: "\u2022" };

function dressChip(element, chip, more) {
  element.className = `chip ${chip.kind} ${chip.redelivered ? "back" : ""}${more}`;
  write(element, `${SIGNS[chip.kind]} ${chip.label}${chip.redelivered ? " \u21bb" : ""}`);
}
