"use strict";
/* Trends: match rates by tier and by row, and what the runs took. Vega-Lite draws; because the page forbids code made
   at run time, its expressions are interpreted (`ast`), and its style sheets are ours (pages.css). */
(() => {
  const { load, el, state, date, fail, root } = Matrix;
  const { table, runName, duration } = Parts;
  const $ = (id) => document.getElementById(id);
  const MOST = 8;
  const AT_FIRST = 5;
  const SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left"];
  const DASHES = [[1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [1, 0], [6, 3], [2, 2], [8, 3, 2, 3]];

  let engine;
  function vega() {
    engine = engine || new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = `${root}assets/vega.js`;
      script.onload = () => resolve(window.vegaEmbed);
      script.onerror = () => reject(new Error("assets/vega.js could not be loaded, so there are no charts; the tables hold the same numbers."));
      document.head.append(script);
    });
    return engine;
  }

  // ---- the style of charts: the page's colours
  function look() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const font = getComputedStyle(document.body).fontFamily;
    const [fg, muted, line] = [colour("--fg"), colour("--muted"), colour("--line")];
    return {
      series: SHAPES.map((_, i) => colour(`--series-${i + 1}`)), quiet: colour("--series-quiet"), panel: colour("--panel"),
      config: {
        background: null, font, aria: false, padding: 2,
        view: { stroke: null },
        axis: {
          labelColor: muted, titleColor: muted, gridColor: line, domainColor: line, tickColor: line, labelFontSize: 12,
          titleFontSize: 12, titleFontWeight: 400, labelPadding: 5, tickSize: 4, titlePadding: 8,
        },
        axisX: { grid: false, labelOverlap: true, labelFlush: true },
        axisY: { domain: false, ticks: false, tickCount: 5 },
        legend: { labelColor: fg, labelFontSize: 12, labelLimit: 0, title: null, orient: "bottom", direction: "vertical", symbolSize: 70, rowPadding: 4, columnPadding: 18, offset: 14 },
        bar: { cornerRadiusEnd: 2 },
      },
    };
  }

  async function draw(figure, spec, label) {
    const place = figure.querySelector(".chart");
    const embed = await vega();
    if (figure.drawn) figure.drawn.finalize();
    const holder = el("div", { class: "chart-holder", "aria-hidden": "true" });
    place.replaceChildren(el("div", { role: "img", "aria-label": `${label} The numbers are in the table below.` }, holder));
    figure.drawn = await embed(holder, spec, {
      ast: true, actions: false, defaultStyle: false, renderer: "svg", mode: "vega-lite", tooltip: { disableDefaultStyle: true, theme: "own" },
    });
  }
  function nothing(figure, text) {
    if (figure.drawn) { figure.drawn.finalize(); figure.drawn = null; }
    figure.querySelector(".chart").replaceChildren(el("p", { class: "muted empty" }, text));
  }
  /* The table is made when it is opened, and made anew when what it shows has changed. */
  function numbers(figure, make) {
    const details = figure.querySelector("details.numbers");
    const fill = () => {
      if (!details.open) return;
      while (details.children.length > 1) details.lastChild.remove();
      details.append(make());
    };
    details.ontoggle = fill;
    fill();
  }

  // ---- charts
  const widthOf = (id) => $(id).querySelector(".chart").clientWidth;
  const narrow = () => matchMedia("(max-width: 600px)").matches;

  /* Days are what nightly runs differ by; what happened within two of them is told by the hour. */
  function dates(values) {
    const times = values.map((value) => Date.parse(value.at));
    const days = (Math.max(...times) - Math.min(...times)) / 864e5;
    return days < 2 ? "%H:%M" : days < 300 ? "%b %-d" : "%b %Y";
  }

  function lines(site, series, along, styled, height, width) {
    const values = [];
    for (const [name, points] of series) {
      for (const [index, match, findings] of points) {
        if (!findings) continue;
        const run = site.runs[index];
        values.push({ name, at: along === "run" ? String(run.id) : run.started, order: index, share: match / findings, run: runName(run), when: date(run.started), said: `${match} of ${findings}` });
      }
    }
    const shares = values.map((value) => value.share);
    const room = Math.max(0.05, (Math.max(...shares) - Math.min(...shares)) * 0.15);
    const domain = [Math.max(0, Math.min(...shares) - room), Math.min(1, Math.max(...shares) + room)];
    const names = series.map(([name]) => name);
    const scale = (range) => ({ domain: names, range: names.map((_, i) => range[i % range.length]) });
    const x = along === "run"
      ? { field: "at", type: "ordinal", sort: { field: "order" }, scale: { type: "point", padding: 0.3 }, axis: { labelAngle: 0 }, title: "run" }
      : { field: "at", type: "temporal", scale: { type: "utc", nice: false, padding: 12 }, axis: { tickCount: narrow() ? 3 : 6, format: dates(values) }, title: null };
    // A column fits the longest name; names that do not fit beside others go below.
    const column = 34 + 7.2 * Math.max(...names.map((name) => name.length));
    const legend = { columns: Math.max(1, Math.min(names.length, Math.floor((width - 50) / column))) };
    return {
      width: "container", height, data: { values }, config: styled.config,
      autosize: { type: "fit-x", contains: "padding" },
      encoding: {
        x,
        y: { field: "share", type: "quantitative", scale: { domain, nice: true, zero: false }, axis: { format: ".0%" }, title: null },
        color: { field: "name", type: "nominal", scale: scale(styled.series), legend },
      },
      layer: [
        // Dashes as a channel would be drawn over the symbols of the legend.
        ...names.map((name, i) => ({ transform: [{ filter: { field: "name", equal: name } }], mark: { type: "line", strokeWidth: 2, strokeDash: DASHES[i % DASHES.length] } })),
        {
          mark: { type: "point", filled: true, size: values.length > 150 ? 26 : 52, opacity: 1, stroke: styled.panel, strokeWidth: 1 },
          encoding: {
            shape: { field: "name", type: "nominal", scale: scale(SHAPES), legend },
            tooltip: [
              { field: "name", title: series.what }, { field: "run", title: "run" }, { field: "when", title: "started" },
              { field: "said", title: "match" }, { field: "share", title: "share", format: ".1%" },
            ],
          },
        },
      ],
    };
  }

  function ratesTable(site, series, caption) {
    const positions = [...new Set(series.flatMap(([, points]) => points.map(([index]) => index)))].sort((a, b) => b - a);
    const by = series.map(([, points]) => new Map(points.map(([index, match, findings]) => [index, [match, findings]])));
    return table(caption, ["Run", "Started", ...series.map(([name]) => name)], positions.map((index) => [
      String(site.runs[index].id), date(site.runs[index].started),
      ...by.map((points) => {
        const [match, findings] = points.get(index) || [0, 0];
        return findings ? `${match} of ${findings} (${(100 * match / findings).toFixed(1)} %)` : "–";
      }),
    ]));
  }

  const runAxis = { field: "run", type: "ordinal", sort: { field: "order" }, scale: { paddingInner: 0.25, paddingOuter: 0.15 }, axis: { labelAngle: 0 }, title: "run" };

  function durationSpec(site, points, styled) {
    const longest = Math.max(...points.map(([, seconds]) => seconds));
    const [unit, name] = longest > 3 * 3600 ? [3600, "hours"] : longest > 180 ? [60, "minutes"] : [1, "seconds"];
    const values = points.map(([index, seconds]) => ({ run: String(site.runs[index].id), order: index, took: seconds / unit, said: duration(seconds), when: date(site.runs[index].started), tier: site.runs[index].tier }));
    return {
      width: "container", height: 190, data: { values }, config: styled.config, autosize: { type: "fit-x", contains: "padding" },
      mark: { type: "bar", color: styled.series[0] },
      encoding: {
        x: runAxis, y: { field: "took", type: "quantitative", title: name },
        tooltip: [{ field: "run", title: "run" }, { field: "when", title: "started" }, { field: "tier", title: "tier" }, { field: "said", title: "took" }],
      },
    };
  }

  function cacheSpec(site, points, styled) {
    const values = points.flatMap(([index, ran, cached]) => [["run", ran], ["cached", cached]].map(([kind, jobs], i) => (
      { run: String(site.runs[index].id), order: index, kind, layer: i, jobs, when: date(site.runs[index].started), share: ran + cached ? jobs / (ran + cached) : 0 })));
    return {
      width: "container", height: 190, data: { values }, config: styled.config, autosize: { type: "fit-x", contains: "padding" },
      mark: { type: "bar" },
      encoding: {
        x: runAxis, y: { field: "jobs", type: "quantitative", title: "jobs", stack: "zero" }, order: { field: "layer" },
        color: { field: "kind", type: "nominal", scale: { domain: ["run", "cached"], range: [styled.series[0], styled.quiet] }, legend: { columns: 2 } },
        tooltip: [{ field: "run", title: "run" }, { field: "when", title: "started" }, { field: "kind", title: "jobs that were" }, { field: "jobs", title: "jobs" }, { field: "share", title: "share", format: ".0%" }],
      },
    };
  }

  // ---- rows: those that changed most, unless others are chosen
  function moved(points) {
    const shares = points.filter(([, , findings]) => findings).map(([, match, findings]) => match / findings);
    return shares.length ? Math.max(...shares) - Math.min(...shares) : 0;
  }
  function mostMoved(rows) {
    const names = Object.keys(rows).filter((name) => rows[name].length);
    const by = new Map(names.map((name) => [name, moved(rows[name])]));
    const newest = (name) => rows[name].at(-1)?.[2] || 0;
    return names.sort((a, b) => by.get(b) - by.get(a) || newest(b) - newest(a) || (a < b ? -1 : 1)).slice(0, AT_FIRST);
  }

  function main(site, trends) {
    const order = site.converters.map((converter) => converter.id).filter((id) => trends.by_row[id]);
    for (const name of Object.keys(trends.by_row)) if (!order.includes(name)) order.push(name);
    /* Runs of one tier at a time: a smaller tier has other cells, and other rates, and would look like a change. */
    const count = new Map();
    for (const run of site.runs) count.set(run.tier, (count.get(run.tier) || 0) + 1);
    const tiers = [...count.keys()].sort((a, b) => count.get(b) - count.get(a));
    const within = (name) => Object.fromEntries(Object.entries(trends.by_row).map(([row, points]) => [row, points.filter(([index]) => site.runs[index].tier === name)]));
    let tier = tiers[0];
    let byRow = within(tier);
    let usual = mostMoved(byRow);
    let rows = usual;
    $("tier").replaceChildren(...tiers.map((name) => el("option", { value: name }, name)));
    let along = "time";
    let span = "all";

    const list = $("rows-list");
    list.replaceChildren(...order.map((name) => el("label", { class: "choice-item" }, el("input", { type: "checkbox", value: name }), el("span", { class: "mono" }, name))));
    const boxes = [...list.querySelectorAll("input")];

    /* Where a link names rows and no tier: that which says most of them. */
    function tierOf(names) {
      const found = (name) => names.reduce((sum, row) => sum + trends.by_row[row].filter(([index, , findings]) => findings && site.runs[index].tier === name).length, 0);
      return tiers.reduce((best, name) => (found(name) > found(best) ? name : best), tiers[0]);
    }
    function setTier(name) {
      const moving = rows === usual;
      tier = name;
      byRow = within(tier);
      usual = mostMoved(byRow);
      if (moving) rows = usual;
      $("tier").value = tier;
    }
    function read() {
      const wanted = state.get();
      along = wanted.along === "run" ? "run" : "time";
      span = ["60", "30", "7"].includes(wanted.span) ? wanted.span : "all";
      const named = (wanted.rows || "").split(",").filter((name) => order.includes(name));
      setTier(tiers.includes(wanted.tier) ? wanted.tier : named.length ? tierOf(named) : tiers[0]);
      rows = wanted.rows === undefined ? usual : wanted.rows.split(",").filter((name) => order.includes(name)).slice(0, MOST);
      $("along").value = along;
      $("span").value = span;
    }
    function write() {
      const same = rows.length === usual.length && rows.every((name) => usual.includes(name));
      state.set({ along: along === "time" ? "" : along, span: span === "all" ? "" : span, tier: tier === tiers[0] && same ? "" : tier, rows: same ? "" : rows.join(",") || "none" });
    }
    function ticks() {
      for (const box of boxes) {
        box.checked = rows.includes(box.value);
        box.disabled = !box.checked && rows.length >= MOST;
      }
      const same = rows === usual || (rows.length === usual.length && rows.every((name) => usual.includes(name)));
      $("rows-said").textContent = `A row is one converter environment. ${rows.length} of ${order.length} shown${same && order.length > rows.length ? ", those that changed most" : ""}; at most ${MOST} at once.`;
    }

    const since = () => (span === "all" ? 0 : Math.max(0, site.runs.length - Number(span)));
    const recent = (points) => points.filter(([index]) => index >= since());
    const chosen = (source, names) => names.map((name) => [name, recent(source[name])]).filter(([, points]) => points.some(([, , findings]) => findings));

    async function charts(only) {
      const styled = look();
      const every = Object.assign(chosen(trends.by_tier, Object.keys(trends.by_tier)), { what: "tier" });
      const some = Object.assign(chosen(byRow, order.filter((name) => rows.includes(name))), { what: "row" });
      const took = recent(trends.duration.filter(([, seconds]) => seconds !== null));
      const cached = recent(trends.cache);
      const all = [
        ["by-tier", every.length, () => lines(site, every, along, styled, narrow() ? 230 : 330, widthOf("by-tier")), "No run has a finding.", "Share of findings that match, by tier, over the runs.", () => ratesTable(site, every, "Match rate by tier")],
        ["by-row", some.length, () => lines(site, some, along, styled, 270, widthOf("by-row")), rows.length ? "No finding in these runs." : "No row is chosen.", "Share of findings that match, by row, over the runs.", () => ratesTable(site, some, "Match rate by row")],
        ["duration", took.length, () => durationSpec(site, took, styled), "No run has finished yet.", "Duration of each run.", () => table("Duration of a run", ["Run", "Started", "Tier", "Took"], [...took].reverse().map(([index, seconds]) => [String(site.runs[index].id), date(site.runs[index].started), site.runs[index].tier, duration(seconds)]))],
        ["cache", cached.length, () => cacheSpec(site, cached, styled), "No run has jobs.", "Jobs run and jobs cached in each run.", () => table("Jobs run and cached", ["Run", "Started", "Jobs run", "Cached", "Share cached"], [...cached].reverse().map(([index, ran, found]) => [String(site.runs[index].id), date(site.runs[index].started), String(ran), String(found), ran + found ? `${Math.round(100 * found / (ran + found))} %` : "–"]))],
      ];
      for (const [id, some_, spec, empty, label, make] of all) {
        if (only && only !== id) continue;
        const figure = $(id);
        numbers(figure, make);
        if (some_) await draw(figure, spec(), label);
        else nothing(figure, empty);
      }
    }
    /* One drawing after another: two at once would leave both in the page. */
    let queue = Promise.resolve();
    function redraw(only) {
      queue = queue.then(() => charts(only)).catch((error) => {
        fail($("trouble"), error);
        for (const details of document.querySelectorAll("details.numbers")) details.open = true;
      });
      return queue;
    }

    $("along").addEventListener("change", (event) => { along = event.target.value; write(); redraw(); });
    $("tier").addEventListener("change", (event) => { setTier(event.target.value); write(); ticks(); redraw("by-row"); });
    $("span").addEventListener("change", (event) => { span = event.target.value; write(); redraw(); });
    list.addEventListener("change", () => { rows = boxes.filter((box) => box.checked).map((box) => box.value); write(); ticks(); redraw("by-row"); });
    $("rows-changed").addEventListener("click", () => { rows = usual; write(); ticks(); redraw("by-row"); });
    $("rows-none").addEventListener("click", () => { rows = []; write(); ticks(); redraw("by-row"); });
    $("rows-filter").addEventListener("input", (event) => {
      const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const box of boxes) box.closest("label").hidden = !words.every((word) => box.value.toLowerCase().includes(word));
    });
    for (const form of document.querySelectorAll("form")) form.addEventListener("submit", (event) => event.preventDefault());
    state.onchange(() => { read(); ticks(); redraw(); });
    document.addEventListener("matrix-theme", () => redraw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw());
    let settled;
    window.addEventListener("resize", () => {
      clearTimeout(settled);
      settled = setTimeout(() => redraw(), 250);
    });

    read();
    ticks();
    redraw().then(() => { document.documentElement.dataset.drawn = "true"; });
  }

  Promise.all([load("site"), load("trends")]).then(([site, trends]) => main(site, trends)).catch((error) => fail($("trouble"), error));
})();
