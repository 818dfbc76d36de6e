"use strict";
/* Finding in a list that is in the page already. `data-filter="#list"` on a search field filters the list's
   `data-filter-item`s by words, which must all be there; with `data-filter-any` (a pasted error message has words that
   nothing here knows) the items that know most of it come first. */
(() => {
  const { state, plural } = Matrix;
  const words = (text) => [...new Set(text.toLowerCase().match(/[\p{L}\p{N}_]+(?:[.-][\p{L}\p{N}_]+)*/gu) || [])];

  for (const field of document.querySelectorAll("[data-filter]")) {
    const list = document.querySelector(field.dataset.filter);
    if (!list) continue;
    const said = document.querySelector(`[data-filter-count="${field.dataset.filter}"]`);
    const none = document.querySelector(`[data-filter-none="${field.dataset.filter}"]`);
    const any = "filterAny" in field.dataset;
    const items = [...list.querySelectorAll("[data-filter-item]")].map((element) => {
      const text = element.textContent.toLowerCase();
      return { element, parent: element.parentNode, text, words: any ? new Set(words(text)) : null };
    });

    /* By item how well it fits, 0 for not at all. A word weighs the more the fewer items know it. */
    function fits(query) {
      const asked = words(query);
      const exact = query.toLowerCase().trim();
      const every = items.map((item) => (asked.every((word) => item.text.includes(word)) ? 1 : 0));
      if (!any || every.some(Boolean)) return every.map((fit, i) => (fit && items[i].text.includes(exact) ? 1.5 : fit));
      const known = asked.map((word) => items.filter((item) => item.words.has(word)).length);
      const weight = asked.map((_, i) => (known[i] ? Math.log(1 + items.length / known[i]) : 0));
      const sums = items.map((item) => asked.reduce((sum, word, i) => sum + (item.words.has(word) ? weight[i] : 0), 0));
      // About two rare words: fewer match by chance.
      const least = Math.max(1.6 * Math.log(1 + items.length / 2), 0.6 * Math.max(...sums));
      return sums.map((sum) => (sum >= least ? sum : 0));
    }

    function show() {
      const query = field.value.trim();
      const fit = query ? fits(query) : items.map(() => 1);
      const order = items.map((_, i) => i);
      if (any) order.sort((x, y) => fit[y] - fit[x] || x - y);
      for (const i of order) {
        items[i].element.hidden = !fit[i];
        if (any) items[i].parent.append(items[i].element);
      }
      const shown = fit.filter(Boolean).length;
      if (said) said.textContent = query ? `${shown} of ${items.length} shown` : plural(items.length, "entry", "entries");
      if (none) none.hidden = shown > 0;
    }
    field.closest(".field").hidden = false;
    field.value = state.get().q || "";
    field.addEventListener("input", () => { state.set({ ...state.get(), q: field.value.trim() }); show(); });
    state.onchange(({ q }) => { field.value = q || ""; show(); });
    show();
  }
})();
