"use strict";
/* The Matrix page: converters by exporters for one model, or for all of them. What is shown depends on the state in
   the address and on nothing else. */
(() => {
  const { el, load, state, verdict, badge, number, plural } = Matrix;
  const ALL = "*";
  const DEFAULTS = { model: "", time: "then", since: "", q: "", verdict: "", reason: "", sort: "" };
  const TIMES = ["then", "now", "changed"];
  const ORDER = ["match", "with", "mismatch", "unsupported", "error", "crash", "oom", "timeout", "unsatisfiable", "unavailable", "infra"];
  const NONE = "-";
  const FIRST = 250;        // pixels of the column of rows
  const MANY = 1500;        // with more squares, cards out of sight are not drawn
  const phone = matchMedia("(max-width: 600px)");
  const $ = (id) => document.getElementById(id);

  let site = null;
  let seen = [];      // by conclusion: its verdict in core.js
  let now = { ...DEFAULTS };
  let drawing = 0;

  // ---- the state
  /* The model shown first: the one most is known of. */
  const main = () => site.models.reduce((best, model) => (!best || model.cells > best.cells ? model : best), null)?.id || "";
  function read() {
    const given = state.get();
    const wanted = { ...DEFAULTS };
    for (const name of Object.keys(DEFAULTS)) if (given[name] !== undefined) wanted[name] = given[name];
    if (wanted.model !== ALL && !site.models.some((model) => model.id === wanted.model)) wanted.model = main();
    if (!TIMES.includes(wanted.time)) wanted.time = "then";
    if (!site.runs.some((run) => String(run.id) === wanted.since)) wanted.since = "";
    return wanted;
  }
  function change(values) {
    Object.assign(now, values);
    const told = { ...now };
    if (told.model === main()) told.model = "";
    if (told.time === "then") told.time = "";
    if (told.time !== "changed") told.since = "";
    state.set(told);
    draw();
  }
  const since = () => {
    const at = site.runs.findIndex((run) => String(run.id) === now.since);
    return at >= 0 ? at : Math.max(0, site.runs.length - 2);
  };

  // ---- the filter: versions per row and per column, names per cell
  let keys = {};
  const OF_COLUMN = new Set(["torch", "opset", "exporter"]);
  /* By what a user may write, what it means: the packages of every family, and what every table has. */
  function keysOf(families) {
    const found = {};
    for (const { packages } of families) for (const { name, also } of packages) for (const word of also) found[word] ??= name;
    for (const { packages } of families) for (const { name } of packages) found[name] = name;
    return { ...found, torch: "torch", pytorch: "torch", opset: "opset", python: "python" };
  }
  function glob(pattern, whole) {
    const body = pattern.split("*").map((part) => part.replace(/[.+^${}()|[\]\\]/g, "\\$&").replace(/\?/g, ".")).join(".*");
    const found = new RegExp(whole ? `^${body}$` : body, "i");
    return (text) => found.test(text);
  }
  function condition(word) {
    const versions = /^([A-Za-z][A-Za-z0-9._-]*?)((?:===|==|!=|~=|<=|>=|<|>).*)$/.exec(word);
    const named = /^(converter|exporter|[A-Za-z][A-Za-z0-9._-]*)=([^=].*)$/.exec(word);
    if (versions) {
      const named = versions[1].toLowerCase().replace(/_/g, "-");
      const key = Object.hasOwn(keys, named) ? keys[named] : "";
      if (!key) throw new Error(`“${versions[1]}” is not a known name; filter by ${[...new Set(Object.values(keys))].sort().join(", ")}.`);
      Versions.matches("1", versions[2]);
      return { key, holds: (subject) => Boolean(subject.known[key]) && Versions.matches(subject.known[key], versions[2]) };
    }
    if (named) {
      const [, key, pattern] = named;
      if (key !== "converter" && key !== "exporter") throw new Error(`“${word}”: write ${key}==${pattern} for a version; a single = is for converter=… and exporter=….`);
      const holds = glob(pattern, true);
      return { key, holds: (subject) => holds(subject.id) };
    }
    if (/[<>=!~]/.test(word)) throw new Error(`“${word}” is not a condition; write a name, a comparison and a version, such as torch>=1.12.`);
    const holds = glob(word, false);
    return { key: "", holds: (subject) => holds(subject.id) };
  }
  function compile(text) {
    const words = text.replace(/\s*(===|==|!=|~=|<=|>=|<|>)\s*/g, "$1").replace(/\s*,\s*/g, ",").split(/\s+/).filter(Boolean).map(condition);
    const rows = words.filter((word) => word.key && !OF_COLUMN.has(word.key));
    const columns = words.filter((word) => OF_COLUMN.has(word.key));
    const either = words.filter((word) => !word.key);
    const torch = words.filter((word) => word.key === "torch");
    // Without an exporter the converter's torch counts.
    return {
      row: (subject) => rows.every((word) => word.holds(subject)),
      column: (subject) => columns.every((word) => (word.key === "torch" && !subject.torch) || word.holds(subject)),
      cell: (row, column) => either.every((word) => word.holds(row) || word.holds(column)) && (column.torch || torch.every((word) => word.holds(row))),
    };
  }

  // ---- results: squares of one model, or of all
  function columnOf(exporter, opset) {
    const about = site.exporters[exporter];
    const written = about.writes && opset ? String(opset) : "";
    return { at: exporter, id: about.id, torch: about.torch, opset: written, about, known: { torch: about.torch, opset: written } };
  }
  const indeterminate = (conclusion) => seen[conclusion].indeterminate;
  function changed(history, from) {
    let before = -1;
    let after = -1;
    for (let i = 0; i < history.length; i += 2) {
      if (indeterminate(history[i + 1])) continue;
      after = history[i + 1];
      if (history[i] <= from) before = after;
    }
    return { before, after };
  }
  /* The squares wanted by time alone, with the shard's own rows and columns; `model` is set where it is all models.
     `ids` is what the cell's id begins with, then and with the exporter of now. */
  function squares(shard, time, from) {
    const found = [];
    let fresh = 0;
    for (const [row, column, at, conclusion, , history, model, begins] of shard.cells) {
      const ids = begins || shard.ids[column];
      if (time === "changed") {
        const { before, after } = changed(history, from);
        if (after < 0 || before === after) continue;
        if (before < 0) fresh += 1;
        else found.push({ row, column, time: at, c: after, before, model, ids });
      } else if ((time === "then") === (at === 0)) found.push({ row, column, time: at, c: conclusion, before: -1, model, ids });
    }
    return { found, fresh };
  }
  /* Joined from pieces that were printed when the site was made. */
  const cellId = ({ ids, time }, row) => (time === 2 ? ids[1] : ids[0]) + (time === 1 ? row.now : row.id);

  /* Of all models together: one shard whose cells carry their model. */
  async function everything() {
    const shards = await Promise.all(site.models.map((model) => load(model.shard)));
    const rows = [...new Set(shards.flatMap((shard) => shard.rows))].sort((a, b) => a - b);
    const columns = new Map();
    for (const shard of shards) for (const [exporter, opset] of shard.columns) columns.set(`${exporter} ${opset}`, [exporter, opset]);
    const torch = (column) => site.exporters[column[0]].torch || "0";
    const sorted = [...columns.values()].sort((a, b) => Versions.compare(torch(a), torch(b))
      || site.exporters[a[0]].id.localeCompare(site.exporters[b[0]].id) || a[1] - b[1]);
    const places = new Map(sorted.map(([exporter, opset], at) => [`${exporter} ${opset}`, at]));
    const lines = new Map(rows.map((row, at) => [row, at]));
    const cells = shards.flatMap((shard) => shard.cells.map(([row, column, ...rest]) => {
      const [exporter, opset] = shard.columns[column];
      return [lines.get(shard.rows[row]), places.get(`${exporter} ${opset}`), ...rest, shard.model, shard.ids[column]];
    }));
    return { model: ALL, rows, columns: sorted, cells };
  }

  // ---- drawing
  async function draw() {
    const turn = ++drawing;
    showState();
    let filter;
    try {
      filter = compile(now.q);
      $("filter-error").textContent = "";
      $("filter").removeAttribute("aria-invalid");
    } catch (error) {
      $("filter-error").textContent = error.message;
      $("filter").setAttribute("aria-invalid", "true");
      return;
    }
    let shard;
    try {
      const about = site.models.find((model) => model.id === now.model);
      shard = now.model === ALL ? await everything() : about && await load(about.shard);
    } catch (error) {
      if (turn === drawing) Matrix.fail($("heat"), error);
      return;
    }
    if (turn !== drawing) return;
    if (!shard) {
      $("heat").replaceChildren(el("p", { class: "note" }, "No model has been measured yet; start a run: python -m matrix run"));
      return;
    }
    render(shard, filter);
  }

  function render(shard, filter) {
    const rows = shard.rows.map((at) => ({ at, ...site.converters[at], known: { ...site.converters[at].versions, python: site.converters[at].python } }));
    const columns = shard.columns.map(([exporter, opset]) => columnOf(exporter, opset));
    const inRow = rows.map(filter.row);
    const inColumn = columns.map(filter.column);
    const { found, fresh } = squares(shard, now.time, since());
    const wanted = new Set(now.verdict ? now.verdict.split(",") : []);
    const counts = new Map();
    const reasons = new Map();
    const shown = [];
    for (const square of found) {
      if (!inRow[square.row] || !inColumn[square.column] || !filter.cell(rows[square.row], columns[square.column])) continue;
      const about = seen[square.c];
      const reason = site.conclusions[square.c].reason || NONE;
      const right = !now.reason || reason === now.reason;
      const good = !wanted.size || wanted.has(about.id);
      if (right) counts.set(about.id, (counts.get(about.id) || 0) + 1);
      if (good) reasons.set(reason, (reasons.get(reason) || 0) + 1);
      if (right && good) shown.push(square);
    }
    showVerdicts(counts, wanted);
    showReasons(reasons);
    const more = now.time === "changed" && fresh ? ` ${plural(fresh, "cell is", "cells are")} new since then.` : "";
    $("count").textContent = `${number(shown.length)} of ${plural(found.length, "cell")} shown.${more}`;
    $("heat").replaceChildren(shown.length ? board(rows, columns, shown, shard) : nothing(found.length));
  }
  function nothing(measured) {
    if (now.time === "changed" && !measured) return el("p", { class: "note good" }, `No conclusion has changed since run ${site.runs[since()].id}.`);
    if (now.time === "now" && !measured) return el("p", { class: "note" }, "No cell of this model has been measured now; run: python -m matrix run --resolution both");
    return el("p", { class: "note" }, "No cell passes these filters. ", el("button", { type: "button", class: "quiet", onclick: reset }, "Show all cells"));
  }

  const places = (rows, columns, shown) => {
    const grid = new Map();
    for (const square of shown) {
      const key = square.row * columns.length + square.column;
      if (grid.has(key)) grid.get(key).push(square);
      else grid.set(key, [square]);
    }
    return grid;
  };
  function board(rows, columns, shown, shard) {
    const grid = places(rows, columns, shown);
    const goodness = new Map();
    const usedRows = new Set();
    const usedColumns = new Set();
    for (const square of shown) {
      usedRows.add(square.row);
      usedColumns.add(square.column);
      const id = seen[square.c].id;
      goodness.set(square.row, (goodness.get(square.row) || 0) + (id === "match" ? 1 : id === "with" ? 0.5 : 0));
    }
    const lines = [...usedRows].sort((a, b) => a - b);
    if (now.sort === "best") lines.sort((a, b) => goodness.get(b) - goodness.get(a) || b - a);
    const across = [...usedColumns].sort((a, b) => a - b);
    const view = { rows, columns, lines, across, grid, all: shard.model === ALL };
    return phone.matches ? cards(view) : table(view);
  }

  // ---- texts of rows, columns and squares
  function torchWords(column) {
    return column.torch ? [column.torch, column.about.variant] : [column.id, ""];
  }
  const packageWords = (item) => (item?.version ? `${item.title} ${item.version}` : "");
  function rowWords(row, group) {
    const { family, runtime, converter, rest } = Matrix.rowPackages(site, row, true);
    const named = packageWords(runtime);
    return [
      el("b", {}, named || row.id),
      el("span", { class: "muted" }, [group || (named && converter === runtime) ? "" : packageWords(converter) || family.title, ...rest.map(packageWords), row.python ? `py ${row.python}` : "", named ? row.variant : ""].filter(Boolean).join(" · ")),
    ];
  }
  /* What rows are grouped by: the family and the converter's release. */
  function release(row) {
    const { family, converter } = Matrix.rowPackages(site, row);
    if (!converter?.version) return site.families.length > 1 ? family.title : "";
    return `${family.title} ${converter.version}`;
  }
  const asked = (column) => (column.opset === "" ? column.id : `${column.id} opset ${column.opset}`);
  const rowLink = (row, group) => (row.page ? el("a", { href: row.page, class: "rowlink" }, rowWords(row, group)) : el("span", { class: "rowlink" }, rowWords(row, group)));
  function label(square, row, column) {
    const { verdict: name, title, role, stage, remedied } = site.conclusions[square.c];
    const words = remedied ? `match with ${remedied.join(", ")}` : name;
    const before = square.before >= 0 ? `was ${seen[square.before].text}, now ` : "";
    const why = name === "match" || !title ? "" : `: ${remedied ? "without, " : ""}${title}${role || stage ? ` (${[role, stage].filter(Boolean).join(", ")})` : ""}`;
    const moved = square.time === 1 ? ", converter now" : square.time === 2 ? ", exporter now" : "";
    return `${before}${words}${why} — ${asked(column)} to ${row.id}${moved}`;
  }
  function shortText(square) {
    const conclusion = site.conclusions[square.c];
    if (conclusion.remedied) return `with ${conclusion.remedied.join(", ")}`;
    return conclusion.verdict === "match" ? "match" : conclusion.reason || conclusion.verdict;
  }
  /* One measured square: a link with its glyph, in changed mode two glyphs, with room for it words. */
  function square(one, row, column, words, opset) {
    const about = seen[one.c];
    const link = document.createElement("a");
    const blamed = site.conclusions[one.c].role === "exporter" ? " up" : "";
    const text = label(one, row, column);
    link.href = Matrix.cellHref(cellId(one, row));
    link.setAttribute("aria-label", text);
    if (one.before >= 0) {
      link.className = "sq pair";
      const part = (conclusion) => el("span", { class: seen[conclusion].css }, seen[conclusion].glyph);
      link.append(part(one.before), "→", part(one.c));
    } else {
      link.className = `sq ${about.css}${blamed}${one.time ? " now" : ""}`;
      if (opset) link.append(el("span", { class: "opset" }, opset));
      if (words) link.append(el("span", { class: "sign" }, about.glyph), el("span", { class: "said" }, shortText(one)));
      else link.append(about.glyph);
      if (one.time === 2) link.append(el("sup", {}, "e"));
    }
    return link;
  }
  function share(ones, row, column) {
    let matches = 0;
    let findings = 0;
    for (const one of ones) {
      if (seen[one.c].indeterminate) continue;
      findings += 1;
      if (seen[one.c].id === "match") matches += 1;
    }
    const part = findings ? matches / findings : 0;
    const button = el("button", { type: "button", class: `sq share${findings && matches === findings ? " full" : ""}${findings ? "" : " v-infra"}`,
      "aria-label": `${matches} of ${plural(findings, "model")} match — ${asked(column)} to ${row.id}` }, findings ? `${matches}/${findings}` : "?");
    if (findings && matches < findings) button.style.setProperty("--share", `${Math.round(part * 60)}%`);
    button.models = () => showModels(ones, row, column);
    return button;
  }

  // ---- the table
  function groups(view) {
    if (now.sort === "best") return [["", view.lines]];
    const found = [];
    for (const line of view.lines) {
      const name = release(view.rows[line]);
      if (found.at(-1)?.[0] === name) found.at(-1)[1].push(line);
      else found.push([name, [line]]);
    }
    return found;
  }
  function heads(view) {
    const found = [];
    for (const at of view.across) {
      const column = view.columns[at];
      if (found.at(-1)?.[0].at === column.at) found.at(-1)[1].push(at);
      else found.push([column, [at]]);
    }
    return found;
  }
  function table(view) {
    const exporters = heads(view);
    const widest = now.time === "changed" ? 64 : view.all ? 42 : 34;
    const room = ($("board").clientWidth - FIRST - 20) / view.across.length;
    const words = !view.all && now.time !== "changed" && room >= 118;
    const columns = document.createElement("colgroup");
    let wide = FIRST;
    columns.append(el("col", { style: { width: `${FIRST}px` } }));
    for (const [, places] of exporters) {
      const width = words ? Math.min(210, Math.floor(room)) : Math.max(widest, Math.ceil(74 / places.length), Math.min(46, Math.floor(room)));
      places.forEach(() => columns.append(el("col", { style: { width: `${width}px` } })));
      wide += width * places.length;
    }
    const first = el("tr", {}, el("th", { class: "corner", rowspan: "2", scope: "col" }, el("span", {}, "converter"), el("span", { class: "muted" }, "exporter, opset →")));
    const second = el("tr", {});
    for (const [column, places] of exporters) {
      const [version, rest] = torchWords(column);
      first.append(el("th", { scope: "colgroup", colspan: String(places.length), class: "edge", title: `${column.id}, Python ${column.about.python || "?"}` },
        column.torch ? el("span", { class: "muted" }, "torch") : "", el("b", {}, version), rest ? el("span", { class: "muted rest" }, rest) : ""));
      places.forEach((at, i) => second.append(el("th", { scope: "col", class: i ? "" : "edge" }, view.columns[at].opset || view.columns[at].id)));
    }
    const edges = new Set(exporters.map(([, places]) => places[0]));
    const body = document.createDocumentFragment();
    for (const [name, lines] of groups(view)) {
      const part = document.createElement("tbody");
      if (name) part.append(el("tr", { class: "group" }, el("th", { scope: "rowgroup", colspan: String(view.across.length + 1) }, el("span", {}, name))));
      for (const line of lines) part.append(tableRow(view, line, edges, words, Boolean(name)));
      body.append(part);
    }
    const title = now.model === ALL ? "all models: matches of those with a finding" : now.model;
    const grid = el("table", { class: `heat${words ? " words" : ""}${now.time === "changed" ? " pairs" : ""}`, role: "grid", "aria-readonly": "true" },
      el("caption", { class: "offscreen" }, `${title}, ${now.time}: converters in rows, exporters and opsets in columns. Arrow keys move, Enter opens.`),
      columns, el("thead", {}, first, second), body);
    // Without a fixed width the browser would measure every square.
    grid.style.width = `${wide}px`;
    const firstSquare = grid.querySelector(".sq");
    if (firstSquare) firstSquare.tabIndex = 0;
    return el("div", { class: "heat-scroll" }, grid);
  }
  function tableRow(view, line, edges, words, grouped) {
    const row = view.rows[line];
    const tr = document.createElement("tr");
    const head = el("th", { scope: "row" }, rowLink(row, grouped));
    head.title = row.id;
    tr.append(head);
    for (const at of view.across) {
      const td = document.createElement("td");
      const ones = view.grid.get(line * view.columns.length + at);
      if (edges.has(at)) td.className = ones ? "edge" : "edge none";
      else if (!ones) td.className = "none";
      if (ones) {
        const column = view.columns[at];
        if (view.all) td.append(share(ones, row, column));
        else for (const one of ones) td.append(square(one, row, column, words));
        for (const link of td.children) link.tabIndex = -1;
      }
      tr.append(td);
    }
    return tr;
  }

  // ---- on a phone: a card for each converter
  function cards(view) {
    const body = document.createDocumentFragment();
    for (const [name, lines] of groups(view)) {
      if (name) body.append(el("h3", { class: "card-group" }, name));
      for (const line of lines) body.append(card(view, line, Boolean(name)));
    }
    return el("div", { class: view.grid.size > MANY ? "cards many" : "cards" }, body);
  }
  function card(view, line, grouped) {
    const row = view.rows[line];
    const measured = view.across.filter((at) => view.grid.has(line * view.columns.length + at));
    const few = !view.all && measured.length <= 8;
    const list = el("div", { class: `squares${few ? " few" : ""}` });
    let last = null;
    for (const at of measured) {
      const column = view.columns[at];
      const [version, rest] = torchWords(column);
      if (column.at !== last) list.append(el("span", { class: "muted small" }, `${column.torch ? "torch " : ""}${[version, rest].filter(Boolean).join(" ")}${column.opset ? ", opset" : ""}`));
      last = column.at;
      const ones = view.grid.get(line * view.columns.length + at);
      if (view.all) {
        const button = share(ones, row, column);
        button.prepend(el("span", { class: "opset" }, column.opset));
        list.append(button);
      } else for (const one of ones) list.append(square(one, row, column, few, column.opset));
    }
    return el("section", { class: "card" }, el(grouped ? "h4" : "h3", {}, rowLink(row, grouped)), list);
  }

  // ---- the controls
  function showState() {
    $("model").value = now.model;
    for (const button of $("time").children) button.setAttribute("aria-pressed", String(button.value === now.time));
    $("since-field").hidden = now.time !== "changed";
    $("since").value = String(site.runs[since()]?.id ?? "");
    if ($("filter").value !== now.q) $("filter").value = now.q;
    $("sort").value = now.sort === "best" ? "best" : "";
  }
  function showVerdicts(counts, wanted) {
    const focused = document.activeElement?.dataset?.verdict;
    const chips = ORDER.filter((id) => counts.get(id) || wanted.has(id)).map((id) => {
      const chip = el("button", { type: "button", class: "chip", "aria-pressed": String(wanted.has(id)), dataset: { verdict: id } }, badge(id), el("span", { class: "n" }, number(counts.get(id) || 0)));
      chip.title = verdict(id).words;
      return chip;
    });
    $("verdicts").replaceChildren(...chips);
    if (focused) chips.find((chip) => chip.dataset.verdict === focused)?.focus();
  }
  function showReasons(reasons) {
    reasons.delete(NONE);
    if (now.reason && !reasons.has(now.reason)) reasons.set(now.reason, 0);
    const sorted = [...reasons].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]));
    $("reason").replaceChildren(el("option", { value: "" }, "any"), ...sorted.map(([id, n]) => el("option", { value: id }, `${id} (${number(n)})`)));
    $("reason").value = now.reason;
    const page = now.reason && site.reasons[now.reason];
    $("more").replaceChildren(...(page ? [" ", el("a", { href: page.page }, `About ${now.reason}`)] : []));
  }
  function showModels(ones, row, column) {
    $("models-title").textContent = `${asked(column)} to ${row.id}`;
    const rank = (one) => ORDER.indexOf(seen[one.c].id);
    $("models-body").replaceChildren(el("ul", { class: "plain" }, [...ones].sort((a, b) => rank(a) - rank(b) || a.model.localeCompare(b.model)).map((one) => {
      const reason = site.conclusions[one.c].reason;
      return el("li", {}, el("a", { href: Matrix.cellHref(cellId(one, row)) }, one.model), " ", badge(site.conclusions[one.c]), reason ? el("span", { class: "muted" }, ` ${reason}`) : "");
    })));
    $("models").showModal();
  }

  // ---- above the board
  function showRun() {
    const run = site.runs.at(-1);
    if (!run) return;
    const counts = ORDER.filter((id) => run.counts[id]).map((id) => `${number(run.counts[id])} ${id}`).join(", ");
    const status = run.status === "complete" ? "" : `, ${run.status}`;
    $("run").replaceChildren(el("b", {}, `Run ${run.id}`), ` of ${Matrix.date(run.started)} UTC, ${run.tier}${status}: ${plural(run.cells, "cell")}${counts ? `, ${counts}` : ""}. `,
      `${plural(site.models.reduce((sum, model) => sum + model.cells, 0), "cell")} of ${plural(site.models.length, "model")} in ${plural(site.runs.length, "run")}.`);
  }
  const versions = ([name, before, after]) => el("li", {}, el("code", {}, name), ` ${before ?? "(absent)"} → ${after ?? "(gone)"}`);
  function regression(one) {
    const run = site.runs[one.run];
    const before = site.runs[one.before_run];
    const reason = one.reason && site.reasons[one.reason];
    const more = one.count - one.cells.length;
    const links = one.cells.map((id) => el("li", {}, el("a", { href: Matrix.cellHref(id) }, id)));
    return el("article", { class: `regression${one.new ? " new" : ""}` },
      el("h3", {}, one.title, one.said ? el("span", { class: "said" }, `: ${one.said}`) : ""),
      el("p", { class: "muted" }, `${one.new ? "New in" : "Since"} run ${run?.id ?? "?"}${run ? ` (${Matrix.date(run.started).slice(0, 10)})` : ""}: ${plural(one.count, "cell")} no longer ${one.count === 1 ? "matches" : "match"}, ${one.role ? `because of the ${one.role} ` : "in "}${one.environment}${one.stage ? `, stage ${one.stage}` : ""}. `,
        reason ? el("a", { href: reason.page }, "What to do") : "", reason && before && run ? " · " : "",
        before && run ? el("a", { href: `changes.html#a=${before.id}&b=${run.id}` }, "All changes") : ""),
      el("p", {}, one.blame || `${one.why.charAt(0).toUpperCase()}${one.why.slice(1)}.`),
      one.packages.length ? el("ul", { class: "packages" }, one.packages.slice(0, 6).map(versions), one.packages.length > 6 ? el("li", { class: "muted" }, `and ${one.packages.length - 6} more`) : "") : "",
      el("details", {}, el("summary", {}, plural(one.count, "cell")), el("ul", { class: "plain" }, links, more > 0 ? el("li", { class: "muted" }, `and ${number(more)} more`) : "")));
  }
  function showRegressions() {
    const fresh = site.regressions.filter((one) => one.new);
    const old = site.regressions.filter((one) => !one.new);
    $("regressions").hidden = false;
    if (!site.regressions.length) {
      $("regressions-title").className = "offscreen";
      $("regressions-body").replaceChildren(el("p", { class: "quiet-line muted" }, el("span", { class: "dot", "aria-hidden": "true" }, "✓"), " No open regressions."));
      return;
    }
    $("regressions-title").textContent = fresh.length ? plural(fresh.length, "new regression") : "No new regression";
    $("regressions-body").replaceChildren(...fresh.map(regression),
      old.length ? el("details", { class: "fold" }, el("summary", {}, `${plural(old.length, "older regression is open", "older regressions are open")}`), el("div", { class: "inside" }, old.map(regression))) : "");
  }

  // ---- keys and clicks
  const squareIn = (cell) => cell?.querySelector(".sq") || null;
  function goal(event, grid) {
    const from = event.target.closest(".sq");
    if (!from) return null;
    const td = from.parentElement;
    const tr = td.parentElement;
    const lines = [...grid.rows];
    const line = lines.indexOf(tr);
    const across = (start, step) => {
      for (let at = start; at >= 0 && at < tr.cells.length; at += step) if (squareIn(tr.cells[at])) return squareIn(tr.cells[at]);
      return null;
    };
    const down = (start, step, far = 1) => {
      let found = null;
      for (let at = start; at >= 0 && at < lines.length && far > 0; at += step) {
        const there = lines[at].classList.contains("group") ? null : squareIn(lines[at].cells[td.cellIndex]);
        if (there && lines[at].parentElement.tagName === "TBODY") { found = there; far -= 1; }
      }
      return found;
    };
    const every = () => [...grid.querySelectorAll(".sq")];
    switch (event.key) {
      case "ArrowRight": return from.nextElementSibling?.matches(".sq") ? from.nextElementSibling : across(td.cellIndex + 1, 1);
      case "ArrowLeft": return from.previousElementSibling?.matches(".sq") ? from.previousElementSibling : across(td.cellIndex - 1, -1);
      case "ArrowDown": return down(line + 1, 1);
      case "ArrowUp": return down(line - 1, -1);
      case "PageDown": return down(line + 1, 1, 8);
      case "PageUp": return down(line - 1, -1, 8);
      case "Home": return event.ctrlKey ? every()[0] : across(1, 1);
      case "End": return event.ctrlKey ? every().at(-1) : across(tr.cells.length - 1, -1);
      default: return null;
    }
  }
  function move(event) {
    const grid = event.target.closest("table.heat");
    if (!grid || event.altKey || event.metaKey) return;
    const next = goal(event, grid);
    if (!next) return;
    event.preventDefault();
    grid.querySelector('.sq[tabindex="0"]')?.setAttribute("tabindex", "-1");
    next.tabIndex = 0;
    next.focus();
    next.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
  function typing(element) {
    return element && (element.matches("input, textarea, select") || element.isContentEditable);
  }
  function reset() {
    change({ ...DEFAULTS, model: now.model });
    $("filter").focus();
  }
  function listen() {
    $("model").append(...site.models.map((model) => el("option", { value: model.id }, `${model.id} (${number(model.match)} of ${number(model.findings)} match)`)),
      site.models.length > 1 ? el("option", { value: ALL }, "all models") : "");
    $("since").append(...[...site.runs].reverse().map((run) => el("option", { value: String(run.id) }, `${run.id}, ${Matrix.date(run.started).slice(0, 10)}, ${run.tier}`)));
    $("model").addEventListener("change", () => change({ model: $("model").value }));
    $("since").addEventListener("change", () => change({ since: $("since").value }));
    $("reason").addEventListener("change", () => change({ reason: $("reason").value }));
    $("sort").addEventListener("change", () => change({ sort: $("sort").value }));
    $("time").addEventListener("click", (event) => event.target.value && change({ time: event.target.value }));
    let pause = 0;
    $("filter").addEventListener("input", () => {
      clearTimeout(pause);
      pause = setTimeout(() => change({ q: $("filter").value }), 120);
    });
    $("verdicts").addEventListener("click", (event) => {
      const id = event.target.closest("[data-verdict]")?.dataset.verdict;
      if (!id) return;
      const wanted = new Set(now.verdict ? now.verdict.split(",") : []);
      if (!wanted.delete(id)) wanted.add(id);
      change({ verdict: ORDER.filter((name) => wanted.has(name)).join(",") });
    });
    $("reset").addEventListener("click", reset);
    $("help-button").addEventListener("click", () => $("help").showModal());
    $("help-close").addEventListener("click", () => $("help").close());
    $("models-close").addEventListener("click", () => $("models").close());
    $("heat").addEventListener("keydown", move);
    $("heat").addEventListener("click", (event) => event.target.closest(".share")?.models());
    $("heat").addEventListener("pointerover", (event) => {
      const found = event.target.closest(".sq");
      if (found && !found.title) found.title = found.getAttribute("aria-label");
    });
    $("heat").addEventListener("focusin", (event) => {
      const found = event.target.closest("table.heat .sq");
      if (!found || found.tabIndex === 0) return;
      for (const other of $("heat").querySelectorAll('.sq[tabindex="0"]')) other.tabIndex = -1;
      found.tabIndex = 0;
    });
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || document.querySelector("dialog[open]")) return;
      if (event.key === "/") {
        event.preventDefault();
        $("filter").focus();
        $("filter").select();
      } else if (event.key === "?") $("help").showModal();
    });
    state.onchange(() => { now = read(); draw(); });
    phone.addEventListener("change", draw);
    let width = innerWidth;
    let resizing = 0;
    addEventListener("resize", () => {
      if (innerWidth === width) return;
      width = innerWidth;
      clearTimeout(resizing);
      resizing = setTimeout(draw, 200);
    });
  }

  async function begin() {
    try {
      site = await load("site");
    } catch (error) {
      $("board").hidden = false;
      $("board").replaceChildren(el("div", { id: "heat" }));
      Matrix.fail($("heat"), error);
      return;
    }
    seen = site.conclusions.map(verdict);
    keys = keysOf(site.families);
    now = read();
    showRun();
    showRegressions();
    listen();
    $("board").hidden = false;
    await draw();
    document.documentElement.dataset.ready = "true";
  }
  begin();
})();
