"use strict";
/* What Changes, Trends, Pick and Operators share: links, packages, folds that fill when opened, tables of numbers. */
(() => {
  const { el, cellHref, plural, root } = Matrix;

  function rowLink(site, name) {
    const row = Matrix.rowNamed(site, name);
    return row && row.page ? el("a", { class: "mono", href: root + row.page }, name) : el("span", { class: "mono" }, name);
  }
  function reasonLink(site, reason, text) {
    const known = reason && site.reasons[reason];
    return known && known.page ? el("a", { href: root + known.page }, text || known.title) : el("span", {}, text || reason || "");
  }

  function packages(list) {
    return el("ul", { class: "diff-list", "aria-label": "Packages that differ" }, list.map(([name, before, after]) =>
      el("li", { class: "mono" }, el("b", {}, name), " ",
        before === null ? "new: " : `${before} → `, after === null ? "gone" : after)));
  }

  /* A fold whose content is made when it is first opened: a run may have changed thousands of cells. */
  function fold(summary, make, attributes = {}) {
    const inside = el("div", { class: "inside" });
    const details = el("details", { ...attributes, class: `fold ${attributes.class || ""}`.trim(), open: false }, el("summary", {}, summary), inside);
    let made = false;
    const fill = () => {
      if (made || !details.open) return;
      made = true;
      make(inside);
    };
    details.addEventListener("toggle", fill);
    details.fill = () => { details.open = true; fill(); };
    return details;
  }

  const AT_ONCE = 300;
  function cellList(cells) {
    const list = el("ul", { class: "cell-list mono" });
    const more = el("button", { type: "button", class: "quiet" });
    let shown = 0;
    const show = () => {
      const next = cells.slice(shown, shown + AT_ONCE);
      shown += next.length;
      list.append(...next.map((id) => el("li", {}, el("a", { href: cellHref(id) }, id))));
      more.hidden = shown >= cells.length;
      more.textContent = `${cells.length - shown} more`;
    };
    more.addEventListener("click", show);
    show();
    return [list, more];
  }

  /* A few cells at once, many in a fold. */
  function cells(list, { open = 6, rest = 0, elsewhere = "" } = {}) {
    const more = rest > 0 ? el("p", { class: "muted small" }, `and ${rest} more, ${elsewhere}`) : "";
    if (list.length <= open) return [cellList(list)[0], more];
    return fold(plural(list.length + Math.max(0, rest), "cell"), (inside) => inside.append(...cellList(list), more), { class: "tight-fold" });
  }

  function table(caption, heads, rows) {
    return el("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": caption },
      el("table", { class: "table" },
        el("caption", { class: "offscreen" }, caption),
        el("thead", {}, el("tr", {}, heads.map((head, i) => el("th", { scope: "col", class: i ? "num" : null }, head)))),
        el("tbody", {}, rows.map((row) => el("tr", {}, row.map((value, i) => el(i ? "td" : "th", i ? { class: "num" } : { scope: "row" }, value)))))));
  }

  const runName = (run) => `Run ${run.id}`;
  function runLabel(run) {
    const when = run.resolution && run.resolution !== "then" ? `, resolved ${run.resolution}` : "";
    const how = run.status && run.status !== "complete" ? `, ${run.status}` : "";
    return `${runName(run)} · ${Matrix.date(run.started)} · ${run.tier}${when}${how}`;
  }
  function duration(seconds) {
    if (seconds === null || seconds === undefined) return "–";
    if (seconds < 100) return `${Math.round(seconds * 10) / 10} s`;
    const minutes = Math.round(seconds / 60);
    return minutes < 100 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  }

  window.Parts = { rowLink, reasonLink, packages, fold, cells, table, runName, runLabel, duration };
})();
