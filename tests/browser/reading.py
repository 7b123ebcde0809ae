"""What stands on a page, and what somebody does on it with a mouse."""

from __future__ import annotations

from playwright.sync_api import Page

_CHARACTERS = """([part, start, end]) => {
  const points = (text) => [...text];
  const rects = (leaf, from, to) => {
    const range = document.createRange();
    range.setStart(leaf, from);
    range.setEnd(leaf, to);
    return range.getClientRects();
  };
  const box = document.querySelector(part);
  for (let fold = box.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  box.scrollIntoView({ block: "center" });
  const at = (place) => {
    for (const leaf of box.querySelectorAll("[data-o]")) {
      const from = Number(leaf.dataset.o);
      if (leaf.dataset.e) {
        if (place >= from && place < Number(leaf.dataset.e)) return leaf.getBoundingClientRect();
        continue;
      }
      const text = points(leaf.firstChild.data);
      if (place < from || place >= from + text.length) continue;
      const before = text.slice(0, place - from).join("").length;
      return rects(leaf.firstChild, before, before + text[place - from].length)[0];
    }
    throw new Error(`no character ${place}`);
  };
  const first = at(start);
  const last = at(end - 1);
  return [first.left + 0.5, first.top + first.height / 2, last.right - 0.5, last.top + last.height / 2];
}"""


def marked(page: Page) -> list[str]:
    """The words of each piece of evidence as they stand on the page, without the tags that say what it is."""
    return page.locator(".conversation mark").evaluate_all(
        "marks => marks.map(mark => [...mark.querySelectorAll('[data-o]')].map(leaf => leaf.textContent).join(''))"
    )


def drag(page: Page, message: int, part: int, start: int, end: int) -> None:
    """Selects characters `start` to `end` of a part's text with the mouse."""
    where = f'#m{message} [data-part="{part}"]'
    left, top, right, bottom = page.evaluate(_CHARACTERS, [where, start, end])
    page.mouse.move(left, top)
    page.mouse.down()
    page.mouse.move((left + right) / 2, (top + bottom) / 2)
    page.mouse.move(right, bottom)
    page.mouse.up()


def focused(page: Page) -> str:
    """What has the focus, in words."""
    return str(page.evaluate("document.activeElement.innerText || document.activeElement.outerHTML.slice(0, 80)"))


def scrolls_sideways(page: Page) -> bool:
    """Whether anything lies to the right of the window, or of the bar in which people decide."""
    wide = "all => all.some(each => each.scrollWidth > each.clientWidth)"
    return bool(page.locator("html, .bar").evaluate_all(wide))
