// How long somebody looked, and how long a decision can be taken back for nothing.

export function measure() {
  const form = document.getElementById("decide");
  if (!form) return;
  let looked = 0;
  let since = document.hidden ? null : performance.now();
  document.addEventListener("visibilitychange", () => {
    if (document.hidden && since !== null) {
      looked += performance.now() - since;
      since = null;
    } else if (!document.hidden) since = performance.now();
  });
  const fill = () => {
    const all = looked + (since === null ? 0 : performance.now() - since);
    form.elements.namedItem("seconds").value = Math.min(all / 1000, 86_400).toFixed(1);
  };
  form.addEventListener("click", fill, true);
  form.addEventListener("submit", fill, true);
}

export function countDown() {
  const toast = document.querySelector(".toast[data-seconds]");
  const words = toast?.querySelector("[data-left]");
  if (!words) return;
  let left = Number(toast.dataset.seconds);
  // Read aloud once, not every second.
  words.setAttribute("aria-hidden", "true");
  const timer = setInterval(() => {
    left -= 1;
    words.textContent = left > 0 ? ` · goes to retraining in ${left} s` : " · has gone to retraining";
    if (left <= 0) clearInterval(timer);
  }, 1000);
}
