// News of cases as they happen. Nothing moves under the reader's finger: they are told, and ask for it.

const QUIET = 800;

export function watch() {
  const news = document.getElementById("news");
  if (!news || !globalThis.EventSource) return;
  const page = document.querySelector("[data-case]");
  const tell = page ? ofCase(page, news) : ofQueue(news);
  let reached = Number(document.body.dataset.reached);
  let source = null;
  const begin = () => {
    if (source || document.hidden) return;
    source = new EventSource(`/api/v1/events?after=${reached}`);
    source.addEventListener("case", (event) => {
      reached = Math.max(reached, Number(event.lastEventId));
      tell(JSON.parse(event.data));
    });
  };
  // A browser has few connections to one host: a tab that nobody looks at keeps none.
  const end = () => {
    source?.close();
    source = null;
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? end() : begin()));
  addEventListener("pagehide", end);
  addEventListener("pageshow", begin);
  begin();
}

function ofQueue(news) {
  const changed = new Set();
  let timer = null;
  return (event) => {
    changed.add(event.case_id);
    clearTimeout(timer);
    timer = setTimeout(() => {
      say(news, changed.size === 1 ? "1 case changed" : `${changed.size} cases changed`);
      document.body.dispatchEvent(new CustomEvent("cases-changed"));
    }, QUIET);
  };
}

const DID = {
  decided: "has decided about this case",
  acknowledged: "looks at this case",
  assigned: "gave this case to somebody",
  resolved: "said that this case is over",
  undone: "took a decision about this case back",
  merged: "merged this case",
  split: "split this case",
  commented: "commented",
};

function ofCase(page, news) {
  return (event) => {
    if (event.case_id !== page.dataset.case || event.actor === document.body.dataset.account) return;
    if (!(event.version > Number(page.dataset.version)) && event.kind !== "commented") return;
    say(news, `${event.actor} ${DID[event.kind] ?? "changed this case"}.`);
  };
}

function say(news, words) {
  news.querySelector("[data-news]").textContent = words;
  news.hidden = false;
}
