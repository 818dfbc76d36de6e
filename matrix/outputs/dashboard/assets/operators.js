"use strict";
/* Operator coverage: what the backend test cases say of each operator with each row, and the cases themselves. */
(() => {
  const { load, el, badge, state, plural, fail } = Matrix;
  const { reasonLink } = Parts;
  const $ = (id) => document.getElementById(id);
  const STATUS = {
    supported: ["✓", "v-match", "every case matches"],
    partial: ["◐", "v-with", "some cases match"],
    wrong: ["≠", "v-mismatch", "other numbers"],
    unsupported: ["∅", "v-unsupported", "the converter reports that it cannot"],
    failing: ["×", "v-error", "fails otherwise"],
  };

  function square(operator, row, found) {
    if (!found) return el("td", {}, el("span", { class: "no-case muted", title: "no case" }, el("span", { "aria-hidden": "true" }, "·"), el("span", { class: "offscreen" }, "no case")));
    const [status, matching, cases] = found;
    const [glyph, css, words] = STATUS[status] || ["?", "v-infra", status];
    const told = `${operator} with ${row}: ${status}, ${matching} of ${cases} cases match`;
    return el("td", {}, el("button", { type: "button", class: `support verdict ${css}`, title: `${status}: ${words}`, "aria-label": told, dataset: { operator, row } },
      el("span", { class: "glyph", "aria-hidden": "true" }, glyph), `${matching}/${cases}`));
  }

  function tableView(coverage) {
    const rows = coverage.rows;
    return el("table", { class: "table operator-table" },
      el("caption", { class: "offscreen" }, "Operators by row: matching cases of all cases"),
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Operator"), rows.map((row) =>
        el("th", { scope: "col", title: row.row }, el("span", { class: "stack" },
          row.label.map((text) => el("span", {}, text))))))),
      el("tbody", {}, coverage.operators.map(({ operator, found }) =>
        el("tr", { dataset: { operator } }, el("th", { scope: "row", class: "mono" }, operator), rows.map((row) => square(operator, row.row, found[row.row]))))));
  }

  /* Of one operator: whether rows differ, and whether it falls short anywhere. */
  function traits(coverage) {
    return new Map(coverage.operators.map(({ operator, found }) => {
      const statuses = new Set(Object.values(found).map(([status]) => status));
      return [operator, { differ: statuses.size > 1, short: [...statuses].some((status) => status !== "supported") }];
    }));
  }

  const operatorsOf = (item) => (Array.isArray(item.operators) ? item.operators : Object.keys(item.operators || {}));

  function casesView(site, row, operator, shard) {
    const found = shard.cases.filter((item) => operatorsOf(item).includes(operator));
    return el("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": `Cases of ${operator}` }, el("table", { class: "table case-table" },
      el("caption", {}, `${plural(found.length, "case")} with ${operator}. The number in the table above counts only those that test it alone.`),
      el("thead", {}, el("tr", {}, ["Case", "Verdict", "Stage", "Reason", "Said"].map((head) => el("th", { scope: "col" }, head)))),
      el("tbody", {}, found.map((item) => el("tr", {},
        el("th", { scope: "row", class: "mono" }, item.name, item.suite ? el("span", { class: "muted" }, ` ${item.suite}`) : null),
        el("td", {}, badge(item.verdict)), el("td", {}, item.stage || ""), el("td", {}, item.reason ? reasonLink(site, item.reason, item.reason) : ""),
        el("td", { class: "said-text" }, item.said || ""))))));
  }

  function main(site, coverage) {
    const table = tableView(coverage);
    const lines = [...table.tBodies[0].rows];
    const known = traits(coverage);
    const [field, shown, cases] = [$("operator-filter"), $("operator-show"), $("cases")];
    $("operators").replaceChildren(table);

    function filter() {
      const wanted = field.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
      let count = 0;
      for (const line of lines) {
        const name = line.dataset.operator;
        const fits = (!wanted.length || wanted.some((word) => name.toLowerCase().includes(word))) && (shown.value === "all" || known.get(name)[shown.value]);
        line.hidden = !fits;
        count += fits;
      }
      $("said").textContent = `${count} of ${plural(lines.length, "operator")}`;
    }
    const keep = (values) => state.set({ ...state.get(), ...values });

    let asked = 0;
    async function detail(operator, name, focus) {
      const turn = ++asked;
      const row = coverage.rows.find((one) => one.row === name);
      table.querySelector("[aria-pressed]")?.removeAttribute("aria-pressed");
      cases.hidden = !row || !operator;
      if (cases.hidden) return;
      const from = [...table.querySelectorAll("button")].find((button) => button.dataset.operator === operator && button.dataset.row === name);
      from?.setAttribute("aria-pressed", "true");
      const heading = el("h3", { tabindex: "-1" }, el("span", { class: "mono" }, operator), " with ", el("span", { class: "mono" }, name));
      const inside = el("div", {}, el("p", { class: "muted" }, "Loading …"));
      const close = el("button", { type: "button", class: "quiet", onclick: () => { keep({ op: "", row: "" }); detail(); from?.focus(); } }, "Close");
      cases.replaceChildren(el("div", { class: "snippet-head" }, heading, close), inside);
      try {
        const shard = await load(row.shard);
        if (turn !== asked) return;
        inside.replaceChildren(casesView(site, row, operator, shard));
      } catch (error) {
        fail(inside, error);
      }
      if (focus) heading.focus();
    }

    table.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      keep({ op: button.dataset.operator, row: button.dataset.row });
      detail(button.dataset.operator, button.dataset.row, true);
    });
    field.addEventListener("input", () => { keep({ q: field.value.trim() }); filter(); });
    shown.addEventListener("change", () => { keep({ show: shown.value === "all" ? "" : shown.value }); filter(); });
    function restore() {
      const { q = "", show = "all", op, row } = state.get();
      field.value = q;
      shown.value = ["differ", "short"].includes(show) ? show : "all";
      filter();
      detail(op, row, false);
    }
    state.onchange(restore);
    $("controls").addEventListener("submit", (event) => event.preventDefault());
    restore();
  }

  Promise.all([load("site"), load("coverage")]).then(([site, coverage]) => main(site, coverage)).catch((error) => fail($("operators"), error));
})();
