"""What a page is asked about a picture: does text fit into its box, do lines stay out of boxes."""

from __future__ import annotations

# Texts that do not fit into the element that they are in, or reach out of their box.
OVERFLOWING = """flow => [...flow.querySelectorAll(".box, .group, .bar, .timeline, .tabs")].flatMap(box => {
    const frame = box.getBoundingClientRect();
    return [...box.querySelectorAll("span, button, b, label, .answer")].filter(one => {
        if (!one.offsetParent || !one.textContent.trim()) return false;
        const { left, right, top, bottom } = one.getBoundingClientRect();
        const beyond = right > frame.right + 1 || left < frame.left - 1 || bottom > frame.bottom + 1 ||
            top < frame.top - 1;
        return beyond || (!one.children.length && one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 0);
    }).map(one => `${one.className}: ${one.textContent}`);
})"""
# Lines with a point inside a box.
CROSSINGS = """flow => {
    const boxes = [...flow.querySelectorAll(".picture .group, .picture .box:not(.card)")].map(
        box => [box.getAttribute("aria-label"), box.getBoundingClientRect()]);
    return [...flow.querySelectorAll("path.way")].flatMap(path => {
        const length = path.getTotalLength(), matrix = path.getScreenCTM();
        return Array.from({ length: 100 }, (_, at) => path.getPointAtLength(length * at / 99).matrixTransform(matrix))
            .flatMap(({ x, y }) => boxes.filter(([, { left, right, top, bottom }]) =>
                x > left + 2 && x < right - 2 && y > top + 2 && y < bottom - 2).map(([name]) => name));
    });
}"""
# Of the elements of a selector, those that are not wholly inside the window.
OUTSIDE = """(flow, selector) => [...flow.querySelectorAll(selector)].filter(one => one.offsetParent).filter(one => {
    const { left, right, top, bottom } = one.getBoundingClientRect();
    return left < 0 || top < 0 || right > innerWidth || bottom > innerHeight;
}).map(one => `${one.className}: ${one.textContent}`)"""
