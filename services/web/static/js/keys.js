// Single keys. Whatever has data-key="c" is clicked, or focused where it is a field, when somebody presses c.
import { selectWord } from "./choose.js";

const SETTING = "plumbline-keys";
const typing = (element) => element.closest("input:not([type=checkbox]), textarea, select, [contenteditable]");

export function listen() {
  const dialog = document.getElementById("keys");
  const setting = document.getElementById("keys-on");
  if (setting) {
    setting.checked = localStorage.getItem(SETTING) !== "off";
    setting.addEventListener("change", () => localStorage.setItem(SETTING, setting.checked ? "on" : "off"));
  }
  document.querySelector("[data-opens=keys]")?.addEventListener("click", (event) => {
    event.preventDefault();
    dialog.showModal();
  });
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (dialog?.open || (setting && !setting.checked)) return;
    if (typing(event.target)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (pressed(event)) event.preventDefault();
  });
}

function pressed(event) {
  const does = MOVES[event.key];
  if (does) return does(event);
  if (event.repeat) return false;
  const wanted = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (!wanted || wanted.closest("dialog")) return false;
  // What somebody else changed is read first.
  if ("cdu".includes(event.key) && document.querySelector("#conflict [data-version]")) return true;
  if (wanted.matches("input, textarea, select")) {
    unfold(wanted);
    wanted.focus();
  } else wanted.click();
  return true;
}

const MOVES = {
  j: () => step(1),
  k: () => step(-1),
  e: () => evidence(1),
  E: () => evidence(-1),
  v: () => selectWord(focused()),
  x: () => {
    const box = focused()?.closest("li")?.querySelector("input[type=checkbox]");
    if (box) box.checked = !box.checked;
    return Boolean(box);
  },
  Enter: (event) => {
    const fold = event.target.matches("article") ? event.target.querySelectorAll("details.fold") : [];
    const open = [...fold].some((each) => !each.open);
    for (const each of fold) each.open = open;
    return fold.length > 0;
  },
};

const focused = () => document.activeElement?.closest("[data-stop]");

function step(by) {
  const stops = [...document.querySelectorAll("main [data-stop]")];
  if (!stops.length) return false;
  const now = focused();
  const at = now ? stops.indexOf(now) + by : by > 0 ? firstInView(stops) : stops.length - 1;
  const next = stops[Math.min(Math.max(at, 0), stops.length - 1)];
  next.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
  return true;
}

function firstInView(stops) {
  const at = stops.findIndex((each) => each.getBoundingClientRect().bottom > 60);
  return at < 0 ? 0 : at;
}

let reached = Number(/^#e(\d+)$/.exec(location.hash)?.[1] ?? 0);

// Pieces are numbered in the order of reading; one that is not loaded is a link to the page that shows it.
function evidence(by) {
  const links = [...document.querySelectorAll("[data-evidence]")].sort((a, b) => a.dataset.evidence - b.dataset.evidence);
  if (!links.length) return false;
  const at = links.findIndex((each) => Number(each.dataset.evidence) === reached);
  const next = links[(at < 0 ? (by > 0 ? 0 : links.length - 1) : at + by + links.length) % links.length];
  reached = Number(next.dataset.evidence);
  const place = document.getElementById(`e${reached}`);
  if (!place) next.click();
  else show(place);
  return true;
}

function unfold(place) {
  for (let fold = place.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
}

function show(place) {
  unfold(place);
  place.focus({ preventScroll: true });
  place.scrollIntoView({ block: "center" });
}
