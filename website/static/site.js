// Opened as a file, a page may not read others, so the search shows titles without excerpts.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

// Each diagram is drawn twice; the theme shows the one for the light or the one for the dark.
async function draw() {
  const sources = [...document.querySelectorAll("pre.diagram")];
  for (const [look, theme] of [["only-light", "default"], ["only-dark", "dark"]]) {
    if (sources.length) mermaid.initialize({ startOnLoad: false, theme, securityLevel: "strict" });
    for (const [number, source] of sources.entries()) {
      const drawn = document.createElement("div");
      drawn.className = `drawn ${look}`;
      drawn.innerHTML = (await mermaid.render(`diagram-${number}-${look}`, source.textContent)).svg;
      source.before(drawn);
    }
  }
  for (const source of sources) source.remove();
}

document.addEventListener("DOMContentLoaded", draw);
