// The page works without any of this; keys, live news, evidence of one's own and drafts need it.
import { choose } from "./choose.js";
import { keepDrafts } from "./drafts.js";
import { listen } from "./keys.js";
import { watch } from "./live.js";
import { countDown, measure } from "./timing.js";

const reload = (event) => {
  event.preventDefault();
  location.reload();
};

// What was revealed, loaded or refused comes later: one listener for all of it.
document.addEventListener("click", (event) => {
  const target = event.target instanceof Element ? event.target : null;
  if (target?.closest("[data-reload]")) reload(event);
  if (target?.closest("[data-goes-on]")) goOn(target.closest("[data-version]"));
});

// Somebody has seen what changed: from now on they work on the case as it is.
function goOn(conflict) {
  for (const field of document.querySelectorAll("input[name=version]")) field.value = conflict.dataset.version;
  const page = document.querySelector("[data-case]");
  if (page) page.dataset.version = conflict.dataset.version;
  conflict.remove();
  document.querySelector("#decide .verdicts button")?.focus();
}

// A conflict is read before anything else is done.
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target.id !== "conflict") return;
  event.detail.target.scrollIntoView({ block: "center" });
  event.detail.target.querySelector("[data-goes-on]")?.focus({ preventScroll: true });
});

// A session that is over: what was typed is kept, and the way leads back here.
document.addEventListener("htmx:beforeOnLoad", (event) => {
  if (event.detail.xhr.status !== 401) return;
  event.preventDefault();
  location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
});

document.addEventListener("htmx:sendError", () => {
  document.getElementById("said").textContent = "The server cannot be reached. Nothing was saved; try again.";
});

for (const all of document.querySelectorAll("[data-all]")) {
  all.addEventListener("change", () => {
    for (const box of document.querySelectorAll(`input[type=checkbox][name="${all.dataset.all}"]`)) box.checked = all.checked;
  });
}

choose();
keepDrafts();
listen();
watch();
countDown();
measure();
