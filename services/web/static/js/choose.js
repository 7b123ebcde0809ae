// Evidence of one's own: words that somebody selects, as characters of a part's text.
//
// Text stands in leaves with data-o, the place of their first character. Leaves with data-e stand for the characters
// from data-o to data-e, whatever they show (a mask, a sign that does not show). Places count Unicode code points.

const MOST = 50;
let spans = [];

export function choose() {
  const form = document.getElementById("decide");
  if (!form) return;
  const field = form.elements.namedItem("spans");
  try {
    spans = field.value ? JSON.parse(field.value).map((span) => ({ ...span, words: "as you marked them" })) : [];
  } catch {
    spans = [];
  }
  const button = form.querySelector("[data-choose]");
  // Pressing a button must not take the selection away.
  button.addEventListener("pointerdown", (event) => event.preventDefault());
  button.addEventListener("click", () => add(form));
  form.querySelector("[data-chosen]").addEventListener("click", (event) => {
    const item = event.target.closest("[data-at]");
    if (!item) return;
    spans.splice(Number(item.dataset.at), 1);
    list(form);
    button.focus();
  });
  list(form);
}

function add(form) {
  const selection = getSelection();
  const found = selection.rangeCount && !selection.isCollapsed ? spansOf(selection.getRangeAt(0)) : wholeOf(document.activeElement);
  for (const span of found) {
    const same = spans.some((each) => ["message_id", "part_index", "start", "end"].every((name) => each[name] === span[name]));
    if (!same && spans.length < MOST) spans.push(span);
  }
  if (found.length) selection.removeAllRanges();
  list(form, found.length ? `${found.length === 1 ? "It is" : "They are"} marked.` : "Select words in the conversation first.");
}

// With nothing selected: all that was said in the message that has the focus.
function wholeOf(element) {
  const message = element?.closest("article.message");
  if (!message) return [];
  return [...message.querySelectorAll("[data-part]")].flatMap((part) => {
    const range = document.createRange();
    range.selectNodeContents(part);
    return spanIn(part, range);
  });
}

function spansOf(range) {
  const parts = [...document.querySelectorAll("#conversation [data-part]")];
  return parts.filter((part) => range.intersectsNode(part)).flatMap((part) => spanIn(part, range));
}

function spanIn(part, range) {
  const leaves = [...part.querySelectorAll("[data-o]")].filter((leaf) => range.intersectsNode(leaf));
  const places = leaves.map((leaf) => inside(leaf, range)).filter(([start, end]) => start < end);
  if (!places.length) return [];
  const message = part.closest("article");
  return [
    {
      message_id: message.dataset.message,
      message_index: Number(message.dataset.position),
      part_index: Number(part.dataset.part),
      start: places[0][0],
      end: places[places.length - 1][1],
      words: leaves.map((leaf) => wordsIn(leaf, range)).join("").trim().slice(0, 60),
    },
  ];
}

// Which of a leaf's characters the range covers. Of what stands for others, all or nothing.
function inside(leaf, range) {
  const from = Number(leaf.dataset.o);
  if (leaf.dataset.e) return [from, touches(leaf, range) ? Number(leaf.dataset.e) : from];
  const text = leaf.firstChild;
  const length = text.data.length;
  const start = range.comparePoint(text, 0) < 0 ? (range.startContainer === text ? range.startOffset : length) : 0;
  const end = range.comparePoint(text, length) > 0 ? (range.endContainer === text ? range.endOffset : 0) : length;
  return [from + points(text.data, start), from + points(text.data, Math.max(start, end))];
}

// What the range covers of a leaf, as it is shown.
function wordsIn(leaf, range) {
  const [start, end] = inside(leaf, range);
  if (leaf.dataset.e) return start < end ? leaf.textContent : "";
  const from = Number(leaf.dataset.o);
  return [...leaf.firstChild.data].slice(start - from, end - from).join("");
}

function touches(leaf, range) {
  const own = document.createRange();
  own.selectNodeContents(leaf);
  const behindStart = range.compareBoundaryPoints(Range.END_TO_START, own) < 0;
  const beforeEnd = range.compareBoundaryPoints(Range.START_TO_END, own) > 0;
  return behindStart && beforeEnd;
}

const points = (text, units) => [...text.slice(0, units)].length;

function list(form, said = "") {
  const places = spans.map(({ words, ...span }) => span);
  form.elements.namedItem("spans").value = places.length ? JSON.stringify(places) : "";
  const items = spans.map((span, at) => {
    const item = document.createElement("li");
    const words = document.createElement("span");
    words.dir = "auto";
    words.textContent = span.words;
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.at = at;
    button.textContent = "Remove";
    button.setAttribute("aria-label", `Remove: ${span.words}`);
    item.append(words, button);
    return item;
  });
  form.querySelector("[data-chosen]").replaceChildren(...items);
  form.querySelector("[data-chosen-count]").textContent = spans.length ? `· ${spans.length} marked` : "";
  if (said) say(said);
  paint();
}

function say(words) {
  const line = document.createElement("p");
  line.className = "toast";
  line.textContent = words;
  const place = document.getElementById("said");
  place.querySelector("p.toast")?.remove();
  place.append(line);
  setTimeout(() => line.remove(), 6000);
}

// Painted without touching the text.
function paint() {
  if (!globalThis.Highlight) return;
  const ranges = spans.map(rangeOf).filter(Boolean);
  CSS.highlights.set("chosen", new Highlight(...ranges));
}

function rangeOf(span) {
  const message = document.getElementById(`m${span.message_index}`);
  const part = message?.querySelector(`[data-part="${span.part_index}"]`);
  if (!part || message.dataset.message !== span.message_id) return null;
  const range = document.createRange();
  const start = placeOf(part, span.start, false);
  const end = placeOf(part, span.end, true);
  if (!start || !end) return null;
  range.setStart(...start);
  range.setEnd(...end);
  return range;
}

function placeOf(part, place, isEnd) {
  for (const leaf of part.querySelectorAll("[data-o]")) {
    const from = Number(leaf.dataset.o);
    const text = leaf.firstChild;
    const to = leaf.dataset.e ? Number(leaf.dataset.e) : from + points(text.data, text.data.length);
    if (place < from || (isEnd ? place > to : place >= to)) continue;
    if (leaf.dataset.e) return [leaf, isEnd ? leaf.childNodes.length : 0];
    return [text, [...text.data].slice(0, place - from).join("").length];
  }
  return null;
}

// Words by keyboard: the first of the message (of its evidence, if it has any), then the next and the next. The
// browser's own Shift and arrow keys select more.
export function selectWord(message) {
  if (!message?.matches("article.message")) return false;
  const selection = getSelection();
  const there = selection.rangeCount && message.contains(selection.anchorNode) && !selection.isCollapsed;
  if (there) {
    selection.collapseToEnd();
    selection.modify("move", "forward", "word");
  } else {
    const first = message.querySelector("mark [data-o], [data-part] [data-o]");
    if (!first?.firstChild) return false;
    for (let fold = first.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
    selection.collapse(first.firstChild, 0);
  }
  selection.modify("extend", "forward", "word");
  return true;
}
