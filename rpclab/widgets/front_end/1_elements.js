// The front end of all widgets: draws scenes, plain JSON, and reports clicks. A scene comes from a live kernel (`render`)
// or from a page (`play`). Moving parts are decoration over resting ones: a view that was made late, hidden for a while
// or not animated shows the same. Text from outside goes through textContent and setAttribute alone.
// The files are one module: joined in the order of their names. A file uses only those with a lower number.

const SVG = "http://www.w3.org/2000/svg";

function html(tag, className, parent, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  parent?.append(made);
  return made;
}

function svg(tag, attributes, parent) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  parent?.append(made);
  return made;
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Keep one element for each item, in the items' order: elements are reused, so that the focus stays where it is. */
function keep(parent, items, make, update) {
  const kept = (parent.kept ??= new Map());
  for (const [key, element] of kept) {
    if (!items.has(key)) {
      element.remove();
      kept.delete(key);
    }
  }
  let before = null;
  for (const [key, item] of items) {
    if (!kept.has(key)) kept.set(key, make(item, key));
    const element = kept.get(key);
    const place = before ? before.nextSibling : parent.firstChild;
    if (element !== place) parent.insertBefore(element, place);
    before = element;
    update(element, item, key);
  }
}

const byKey = (list, key) => new Map(list.map((one) => [key(one), one]));
