// What was typed outlives a reload, a conflict and a session: until it is sent, or the tab is closed.

const name = (form, field) => `draft ${form.dataset.draft} ${field.name}`;

export function keepDrafts() {
  for (const form of document.querySelectorAll("form[data-draft]")) {
    const fields = [...form.querySelectorAll("textarea, select")];
    for (const field of fields) {
      const kept = sessionStorage.getItem(name(form, field));
      if (kept && !field.value) {
        field.value = kept;
        const fold = field.closest("details");
        if (fold) fold.open = true;
      }
      field.addEventListener("input", () => sessionStorage.setItem(name(form, field), field.value));
    }
    form.addEventListener("htmx:beforeOnLoad", (event) => {
      if (event.detail.xhr.status < 300) for (const field of fields) sessionStorage.removeItem(name(form, field));
    });
  }
}
