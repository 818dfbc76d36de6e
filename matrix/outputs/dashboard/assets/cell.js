"use strict";
/* The Cell page: everything known of the cell whose id is in the address. Logs, installed versions and locks are loaded
   when they are opened. */
(() => {
  const { el, load, badge, verdict, number, plural, date } = Matrix;
  const STAGES = {
    exporter: ["lock", "build", "import", "model", "forward", "export"],
    reference: ["lock", "build", "import", "load", "run"],
  };
  const TIMES = { then: "then", converter_now: "converter now", exporter_now: "exporter now" };
  const MOST_MARKS = 2000;
  const LONG = 110;         // titles this long are sentences, not headings
  const place = document.getElementById("cell");
  let site = null;
  let serial = 0;

  const section = (title, ...children) => {
    const id = `part-${++serial}`;
    return el("section", { "aria-labelledby": id }, el("h2", { id }, title), ...children);
  };
  const shardOf = (id) => `cells/${Matrix.fnv1a(id) % site.cell_shards}`;
  const find = async (id) => {
    const { cells } = await load(shardOf(id));
    return Object.hasOwn(cells, id) ? cells[id] : null;
  };
  /* The stages of an observation; what the current torch makes of a module it does not export. */
  const stagesOf = (observation, family) => (observation.role === "converter" ? family.stages
    : observation.kind === "forward" ? STAGES.exporter.slice(0, -1) : STAGES[observation.role] || []);
  const runWords = (at) => (site.runs[at] ? `run ${site.runs[at].id} of ${date(site.runs[at].started).slice(0, 10)}` : "an earlier run");
  const seconds = (value) => (typeof value !== "number" ? "" : value >= 100 ? `${Math.round(value)} s` : value >= 0.05 ? `${value.toFixed(1)} s` : "<0.1 s");
  const bytes = (value) => (value >= 1e6 ? `${(value / 1e6).toFixed(1)} MB` : value >= 1e3 ? `${Math.round(value / 1e3)} kB` : `${value} B`);
  const copyButton = (text, label = "Copy") => el("button", { type: "button", class: "copy", onclick: (event) => Matrix.copy(event.currentTarget, typeof text === "function" ? text() : text) }, label);

  // ---- the conclusion
  function head(cell) {
    const converter = Matrix.rowNamed(site, cell.converter);
    const family = Matrix.familyOf(site, cell.family);
    const opset = cell.opset_written && cell.opset_asked && cell.opset_written !== cell.opset_asked ? `${cell.opset_asked}, written ${cell.opset_written}` : cell.opset_written ?? cell.opset_asked;
    const packages = family.packages.filter(({ name }) => name !== "torch").map(({ name }) => [cell.distributions?.[name] || name, cell[name]]);
    const versions = [["torch", cell.torch], ["opset", opset], ...packages, ["Python", cell.python]];
    return el("header", { class: "cell-head" },
      el("p", { class: "muted small crumbs" }, el("a", { href: `index.html#${new URLSearchParams({ model: cell.model })}` }, "Matrix"), " / ", cell.model),
      el("h1", {}, cell.model, ...(family.source === "torch" ? [] : [el("span", { class: "muted" }, " by "), cell.exporter]), el("span", { class: "muted" }, " to "),
        converter?.page ? el("a", { href: converter.page }, cell.converter) : cell.converter),
      el("p", { class: "pins" }, versions.filter(([, version]) => version).map(([name, version]) => el("span", {}, el("span", { class: "muted" }, `${name} `), String(version)))));
  }
  function conclusion(cell) {
    const reason = cell.reason && site.reasons[cell.reason];
    const where = [cell.role, cell.stage].filter(Boolean).join(", stage ");
    const parts = [el("p", { class: "verdict-line" }, badge(cell), cell.title ? el(cell.title.length > LONG ? "span" : "b", {}, cell.title) : "")];
    if (cell.remedied) parts.push(el("p", {}, "Unmodified: ", badge(cell.verdict), ". Matches with ", el("b", {}, cell.remedied.join(", ")), "."));
    if (!cell.title) parts.push(el("p", { class: "muted" }, verdict(cell.verdict).words, "."));
    if (where || cell.reason) parts.push(el("p", { class: "muted" }, where ? `${cell.remedied ? "Without: " : ""}${where}` : "", where && cell.reason ? " · " : "",
      cell.reason ? (reason?.page ? el("a", { href: reason.page }, cell.reason) : cell.reason) : ""));
    if (Object.keys(cell.artifacts || {}).length) parts.push(artifacts(cell));
    if (cell.cause) parts.push(el("p", {}, cell.cause));
    if (cell.said) parts.push(el("pre", { class: "wrap", tabindex: "0", "aria-label": "Message" }, cell.said));
    if (cell.divergence?.words) parts.push(el("p", {}, cell.divergence.words));
    if (cell.remedies?.length) parts.push(el("h3", {}, "What to do"), el("ul", {}, cell.remedies.map((remedy) => el("li", {}, remedy.text))));
    if (cell.remarks?.length) parts.push(el("p", { class: "muted small" }, "Remarks: ", cell.remarks.map((remark) => remark.replace(/-/g, " ")).join("; "), "."));
    if (cell.unexpected?.length) parts.push(el("ul", { class: "bad-text" }, cell.unexpected.map((text) => el("li", {}, text))));
    parts.push(el("p", { class: "muted small" }, `Decided by ${runWords(cell.run)}; ${plural(cell.decided, "run")} in total.`));
    return el("section", { class: `panel conclusion ${verdict(cell).css}`, "aria-labelledby": "conclusion" }, el("h2", { class: "offscreen", id: "conclusion" }, "Conclusion"), parts);
  }
  /* Each artifact with its own finding, in words where that is not the cell's. */
  function artifacts(cell) {
    return el("ul", { class: "plain artifacts", "aria-label": "Artifacts" }, Object.entries(cell.artifacts).map(([kind, found]) => {
      const same = found.verdict === cell.verdict && found.reason === cell.reason && found.stage === cell.stage;
      const place = [found.role, found.stage].filter(Boolean).join(", stage ");
      return el("li", { dataset: { artifact: kind } }, el("code", {}, kind), " ", badge(found),
        !same && found.reason ? el("span", { class: "muted" }, ` ${found.reason}`) : "", !same && found.title ? `: ${found.title}` : "",
        !same && place ? el("span", { class: "muted" }, ` (${place})`) : "");
    }));
  }
  function siblings(cell, id) {
    const others = Object.entries(cell.siblings || {}).filter(([, name]) => name && name !== id);
    if (!others.length) return "";
    return el("p", { class: "siblings" }, el("span", { class: "muted" }, "At other times: "), others.map(([time, name]) => {
      const link = el("a", { href: Matrix.cellHref(name) }, TIMES[time] || time);
      const spot = el("span", { class: "sibling" }, link, " ");
      find(name).then((other) => other && spot.append(badge(other), other.reason ? el("span", { class: "muted" }, ` ${other.reason}`) : "")).catch(() => {});
      return spot;
    }));
  }

  // ---- the stages
  function rungs(observation, cell) {
    const found = new Map();
    const known = [...stagesOf(observation, Matrix.familyOf(site, cell.family))];
    for (const part of observation.passes) {
      for (const { stage, status, seconds: time } of part.stages) {
        const before = found.get(stage);
        // A later pass imports again; only its failure matters.
        if (!before || status !== "ok") found.set(stage, { status, time });
        if (!known.includes(stage)) known.splice(known.includes("compare") ? known.indexOf("compare") : known.length, 0, stage);
      }
    }
    const { obstacle } = observation;
    if (observation.passes.length) for (const stage of ["lock", "build"]) found.set(stage, { status: "ok" });
    if (obstacle) {
      for (const stage of known.slice(0, Math.max(0, known.indexOf(obstacle.stage)))) if (!found.has(stage)) found.set(stage, { status: "ok" });
      found.set(obstacle.stage, { status: "failed" });
    }
    const blamed = cell.role === observation.role && cell.stage;
    // Differing numbers are found after the last stage, whatever the cause.
    if (blamed && !known.includes(cell.stage)) known.push(cell.stage);
    if (blamed) found.set(cell.stage, { ...found.get(cell.stage), status: "failed" });
    if (observation.role === "converter" && !found.has("compare") && Object.keys(cell.legs || {}).length) found.set("compare", { status: cell.verdict === "mismatch" && cell.role === "converter" ? "failed" : "ok" });
    return known.map((stage) => [stage, found.get(stage)]);
  }
  function ladder(observation, cell) {
    const list = rungs(observation, cell);
    return el("ol", { class: "ladder", "aria-label": `Stages of the ${observation.role}` }, list.map(([stage, rung]) => {
      const state = !rung ? "unreached" : rung.status === "ok" ? "ok" : "failed";
      const words = { unreached: "not reached", ok: "done", failed: "failed" }[state];
      return el("li", { class: state }, el("span", { class: "sign", "aria-hidden": "true" }, { unreached: "·", ok: "✓", failed: "×" }[state]),
        el("span", { class: "stage" }, stage), el("span", { class: "offscreen" }, ` ${words} `), el("span", { class: "time muted" }, rung ? seconds(rung.time) : ""));
    }));
  }
  function ended(part) {
    const words = [];
    if (part.stopped) words.push(part.stopped === "timeout" ? "stopped: out of time" : "stopped: out of memory");
    if (part.exit?.oom) words.push("killed by the memory limit of the engine");
    if (part.exit?.signal) words.push(`ended by signal ${part.exit.signal}`);
    else if (part.exit && part.exit.code) words.push(`exit status ${part.exit.code}`);
    return words;
  }
  function passOf(part) {
    const words = ended(part);
    const said = [el("b", {}, part.name), ` ${seconds(part.seconds)}`, words.length ? el("span", { class: "bad-text" }, ` ${words.join(", ")}`) : ""];
    return el("div", { class: "pass" }, el("p", { class: "small" }, said),
      part.error ? fold(`${part.error.type || "Error"}: ${(part.error.message || "").split("\n")[0].slice(0, 300)}`,
        () => el("div", {}, el("div", { class: "bar" }, copyButton(part.error.traceback || part.error.message || "")), el("pre", { class: "wrap", tabindex: "0" }, part.error.traceback || part.error.message || "")), "error") : "",
      part.log ? fold(`Log of ${part.name}, ${bytes(part.log.bytes)}`, () => logView(part.log), "log") : "");
  }
  function observationView(observation, cell, sibling) {
    const total = observation.passes.reduce((sum, part) => sum + (part.seconds || 0), 0);
    return el("article", { class: "panel observation" },
      el("h3", {}, { exporter: "Exporter", converter: "Converter", reference: "Reference" }[observation.role] || observation.role, observation.kind && !["export", "convert", "reference"].includes(observation.kind) ? ` (${observation.kind})` : "",
        el("span", { class: "muted" }, ` ${observation.environment}, Python ${observation.python || "?"}`)),
      el("p", { class: "muted small" }, `${total ? `${seconds(total)}; ` : ""}measured ${date(observation.created)} UTC${observation.run === null || observation.run === undefined ? "" : ` in run ${site.runs[observation.run]?.id ?? "?"}`}${observation.run !== cell.run ? ", reused since" : ""}.`),
      ladder(observation, cell),
      observation.obstacle ? el("div", {}, el("p", {}, `Stopped at ${observation.obstacle.stage}: ${observation.obstacle.kind}`, observation.obstacle.reason ? ` (${observation.obstacle.reason})` : ""), el("pre", { class: "wrap", tabindex: "0" }, observation.obstacle.text)) : "",
      observation.passes.map(passOf),
      observation.environment_shard ? fold("Installed versions, lock and identity", () => environmentView(observation, sibling), "environment") : "");
  }

  // ---- loaded when opened
  function fold(title, fill, name) {
    const inside = el("div", { class: "inside" }, el("p", { class: "muted" }, "Loading …"));
    const details = el("details", { class: "fold", dataset: { part: name } }, el("summary", {}, title), inside);
    details.addEventListener("toggle", async () => {
      if (!details.open || details.dataset.filled) return;
      details.dataset.filled = "true";
      try {
        inside.replaceChildren(await fill());
      } catch (error) {
        delete details.dataset.filled;
        Matrix.fail(inside, error);
      }
    });
    return details;
  }
  async function logView({ shard, key }) {
    const log = (await load(shard)).logs[key];
    if (!log) throw new Error("The site does not have this log.");
    const text = log.text;
    const pre = el("pre", { class: "wrap log", tabindex: "0", "aria-label": "Log" }, text);
    const count = el("span", { class: "muted small", role: "status" });
    let marks = [];
    let at = -1;
    const go = (step) => {
      if (!marks.length) return;
      marks[at]?.classList.remove("here");
      at = (at + step + marks.length) % marks.length;
      marks[at].classList.add("here");
      pre.scrollTop = marks[at].offsetTop - pre.clientHeight / 2;
      say();
    };
    const say = (more = "") => { count.textContent = !input.value ? "" : marks.length ? `${number(at + 1)} of ${number(marks.length)}${more}` : "nothing found"; };
    const search = () => {
      const wanted = input.value.toLowerCase();
      const hay = text.toLowerCase();
      const body = document.createDocumentFragment();
      marks = [];
      at = -1;
      let from = 0;
      // In a few scripts lower case has another length, so positions would be wrong: mark nothing then.
      for (let hit = wanted && hay.length === text.length ? hay.indexOf(wanted) : -1; hit >= 0 && marks.length < MOST_MARKS; hit = hay.indexOf(wanted, hit + wanted.length)) {
        const mark = el("mark", {}, text.slice(hit, hit + wanted.length));
        body.append(text.slice(from, hit), mark);
        marks.push(mark);
        from = hit + wanted.length;
      }
      body.append(text.slice(from));
      pre.replaceChildren(body);
      if (marks.length) go(1);
      else say();
    };
    const input = el("input", { type: "search", placeholder: "Search in the log", "aria-label": "Search in the log", spellcheck: "false", oninput: search,
      onkeydown: (event) => { if (event.key === "Enter") { event.preventDefault(); go(event.shiftKey ? -1 : 1); } } });
    const cut = log.left_out ? el("p", { class: "muted small" }, `The log has ${bytes(log.bytes)}; ${bytes(log.left_out)} were left out in the middle.`) : "";
    pre.scrollTop = pre.scrollHeight;
    return el("div", {}, cut, el("div", { class: "bar" }, input,
      el("button", { type: "button", class: "quiet", "aria-label": "Previous match", onclick: () => go(-1) }, "↑"), el("button", { type: "button", class: "quiet", "aria-label": "Next match", onclick: () => go(1) }, "↓"), count, copyButton(text)), pre);
  }
  async function environmentView(observation, sibling) {
    const own = { ...await load(observation.environment_shard), role: observation.role };
    const shard = sibling?.observations.find((other) => other.role === observation.role && other.kind === observation.kind)?.environment_shard;
    const other = shard && shard !== observation.environment_shard ? await load(shard).catch(() => null) : null;
    const identity = [["identity", own.id], ["image", own.image], ["engine", own.engine], ["Python", own.python], ["as of", own.as_of]].filter(([, value]) => value);
    return el("div", {}, el("dl", { class: "facts" }, identity.map(([name, value]) => [el("dt", {}, name), el("dd", {}, el("code", {}, value))])),
      packages(own, other),
      own.lock ? lockView(own.lock) : el("p", { class: "muted" }, "No lock of this environment is stored."));
  }
  function lockView(text) {
    return el("details", {}, el("summary", {}, "Lock"), el("div", { class: "bar" }, copyButton(text, "Copy the lock")), el("pre", { tabindex: "0", "aria-label": "Lock" }, text));
  }
  function packages(own, other) {
    const names = [...new Set([...Object.keys(own.installed || {}), ...Object.keys(other?.installed || {})])].sort();
    if (!names.length) return el("p", { class: "muted" }, "Nothing was installed.");
    const differs = (name) => other && own.installed[name] !== other.installed[name];
    const body = el("tbody", {}, names.map((name) => el("tr", { class: differs(name) ? "differs" : "", dataset: { name } },
      el("th", { scope: "row" }, name), el("td", {}, own.installed[name] || "(absent)"), other ? el("td", {}, other.installed[name] || "(absent)", differs(name) ? el("span", { class: "changed" }, "differs") : "") : "")));
    const count = el("span", { class: "muted small", role: "status" });
    const only = el("input", { type: "checkbox", onchange: () => sift() });
    const input = el("input", { type: "search", placeholder: "Search packages", "aria-label": "Search packages", spellcheck: "false", oninput: () => sift() });
    const sift = () => {
      let shown = 0;
      for (const row of body.rows) {
        row.hidden = !row.dataset.name.includes(input.value.toLowerCase().trim()) || (only.checked && !row.classList.contains("differs"));
        shown += row.hidden ? 0 : 1;
      }
      count.textContent = `${shown} of ${plural(names.length, "package")}${other ? `, ${names.filter(differs).length} differ` : ""}`;
    };
    sift();
    return el("div", {}, el("div", { class: "bar" }, input, other ? el("label", { class: "small" }, only, " only differences") : "", count),
      el("div", { class: "table-scroll short", tabindex: "0", role: "region", "aria-label": `Packages of the ${own.role || "environment"}` }, el("table", { class: "table" }, el("caption", { class: "offscreen" }, "Packages installed"),
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "package"), el("th", { scope: "col" }, own.name || "here"), other ? el("th", { scope: "col" }, other.name || "at the other time") : "")), body)));
  }

  // ---- numbers
  const small = (value) => (typeof value === "number" ? (value === 0 ? "0" : value.toExponential(1)) : value ?? "");
  const fixed = (digits) => (value) => (typeof value === "number" ? value.toFixed(digits) : value === "inf" ? "∞" : value ?? "");
  const percent = (value) => (typeof value === "number" ? `${(100 * value).toFixed(value > 0 && value < 0.01 ? 2 : 0)} %` : value ?? "");
  const METRICS = [["max_abs", "max abs", small], ["max_rel", "max rel", small], ["mean_abs", "mean abs", small], ["rmse", "RMSE", small],
    ["cosine", "cosine", fixed(6)], ["snr_db", "SNR dB", fixed(1)], ["mismatch_share", "outside", percent], ["top1_agreement", "top-1", percent]];
  /* From a ten-thousandth of the tolerance to a hundred times it; the tick is the limit. */
  function margin(tightest) {
    if (tightest === null || tightest === undefined) return "";
    const value = tightest === "inf" ? Infinity : Number(tightest);
    const words = value === Infinity ? "no tolerance would pass" : value === 0 ? "equal" : value <= 1 ? `${(100 * value).toPrecision(2)} % of it` : `${value < 100 ? value.toPrecision(2) : number(Math.round(value))} × it`;
    const length = value === 0 ? 0 : Math.min(1, Math.max(0.02, (Math.log10(value) + 4) / 6));
    return el("span", { class: `margin ${value <= 1 ? "within" : "beyond"}` }, el("span", { class: "track", "aria-hidden": "true" }, el("span", { class: "fill", style: { width: `${100 * length}%` } })), words);
  }
  function numbers(cell) {
    const legs = new Map(Matrix.familyOf(site, cell.family).legs);
    const order = [...legs.keys()];
    const legOrder = (name) => (legs.has(name) ? order.indexOf(name) : order.length);
    const tried = cell.remedied && cell.tried.find((one) => one.verdict === "match");
    const sets = [[cell.legs, ""], ...(tried ? [[tried.legs, ` with ${tried.changes.join(", ")}`]] : [])];
    const rows = sets.flatMap(([found, more]) => Object.entries(found || {}).sort(([a], [b]) => legOrder(a) - legOrder(b)).map(([name, metrics]) => el("tr", { class: cell.leg === name && !more ? "broke" : "" },
      el("th", { scope: "row" }, (legs.get(name) || name) + more), el("td", {}, margin(metrics.tightest)),
      METRICS.map(([key, , show]) => el("td", { class: "num" }, show(metrics[key]))))));
    if (!rows.length) return "";
    return section("Numbers", el("p", { class: "muted small" }, "The comparisons, leg by leg. The bar is the tightest tolerance that would pass; the tick is the one allowed."),
      el("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": "Table of the numbers" }, el("table", { class: "table" },
      el("caption", { class: "offscreen" }, "Numbers, leg by leg"),
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "leg"), el("th", { scope: "col" }, "of the tolerance"), METRICS.map(([, title]) => el("th", { scope: "col", class: "num" }, title)))),
      el("tbody", {}, rows))));
  }
  function trials(cell) {
    if (!cell.tried?.length) return "";
    return section("Remedies tried", el("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": "Table of the remedies tried" }, el("table", { class: "table" }, el("caption", { class: "offscreen" }, "Remedies tried, with their results"),
      el("thead", {}, el("tr", {}, ["changes", "came to", "why"].map((title) => el("th", { scope: "col" }, title)))),
      el("tbody", {}, cell.tried.map((one) => el("tr", {}, el("th", { scope: "row" }, one.changes.join(", ")), el("td", {}, badge(one.verdict)),
        el("td", {}, [one.title, one.role || one.stage ? `(${[one.role, one.stage].filter(Boolean).join(", ")})` : ""].filter(Boolean).join(" "))))))));
  }

  // ---- history
  function past(cell) {
    const changes = cell.history || [];
    if (!changes.length) return "";
    const last = site.runs.length;
    const told = ([, at]) => {
      const one = site.conclusions[at];
      return [badge(one), one.reason ? el("span", { class: "muted" }, ` ${one.reason}`) : ""];
    };
    const strip = el("div", { class: "strip", "aria-hidden": "true" }, changes.map(([run, at], i) => {
      const until = i + 1 < changes.length ? changes[i + 1][0] : last;
      const about = verdict(site.conclusions[at]);
      return el("span", { class: `sq ${about.css}`, style: { "flex-grow": String(Math.max(1, until - run)) }, title: `${about.text} since ${runWords(run)}` }, about.glyph);
    }));
    return section("History", el("p", { class: "muted small" }, changes.length > 1 ? `${plural(changes.length - 1, "change")} over ${plural(cell.decided, "run")}.` : cell.decided === 1 ? "Decided by one run." : `The same in each of ${plural(cell.decided, "run")}.`), strip,
      el("ol", { class: "plain-list", reversed: true }, [...changes].reverse().map((change) => el("li", {}, el("span", { class: "muted when" }, `since ${runWords(change[0])}`), told(change)))));
  }
  function blame(cell) {
    if (!cell.blame) return "";
    const { answer, picture, culprits, cure, created } = cell.blame;
    return section("Cause of the change", el("p", {}, answer),
      culprits?.length ? el("ul", {}, culprits.map((one) => el("li", {}, typeof one === "string" ? one : `${one.package} ${one.instead_of ? `${one.instead_of} → ` : ""}${one.version ?? ""}${one.uploaded ? `, uploaded ${String(one.uploaded).slice(0, 10)}` : ""}`))) : "",
      cure ? el("p", {}, "Verified fix: ", el("code", {}, cure)) : "",
      created ? el("p", { class: "muted small" }, `Searched ${date(created)} UTC.`) : "",
      picture ? el("div", { class: "table-scroll picture", tabindex: "0", role: "region", "aria-label": "Picture of the timeline" }, el("img", { src: Matrix.root + picture, alt: `Timeline of the search: ${answer}` })) : "");
  }
  function reproduce(cell) {
    if (!cell.reproduce?.length) return "";
    return section("Reproduce", cell.reproduce.map((command) => el("div", { class: "command" }, el("pre", { class: "wrap", tabindex: "0", "aria-label": "Command" }, command), copyButton(command))),
      cell.reproduce.some((command) => command.includes("env.lock")) ? el("p", { class: "muted" }, "env.lock is the lock above, under “Installed versions, lock and identity”.") : "");
  }

  async function show() {
    let id = location.hash.slice(1);
    try { id = decodeURIComponent(id); } catch { /* as it stands */ }
    document.documentElement.removeAttribute("data-ready");
    try {
      site = await load("site");
      const cell = id && await find(id);
      if (!cell) return missing(id);
      const other = Object.values(cell.siblings || {}).find((name) => name && name !== id);
      // The other side is only needed when versions are opened.
      const sibling = other ? await find(other).catch(() => null) : null;
      serial = 0;
      document.title = `${verdict(cell).text}: ${id} · ${site.title}`;
      place.replaceChildren(...[head(cell), siblings(cell, id), conclusion(cell), trials(cell), numbers(cell),
        section("Stages", cell.observations.map((observation) => observationView(observation, cell, sibling))),
        past(cell), blame(cell), reproduce(cell)].filter(Boolean));
    } catch (error) {
      Matrix.fail(place, error);
    } finally {
      document.documentElement.dataset.ready = "true";
    }
  }
  function missing(id) {
    document.title = `No such cell · ${site.title}`;
    place.replaceChildren(el("h1", {}, "No such cell"),
      el("p", {}, id ? "This site has no cell with the id " : "The address does not name a cell. ", id ? el("code", {}, id.slice(0, 300)) : "", id ? ". It may have been measured elsewhere, or its model may not be published." : ""),
      el("p", {}, el("a", { href: "index.html" }, "Choose one in the Matrix"), "."));
  }
  window.addEventListener("hashchange", () => { show().then(() => scrollTo(0, 0)); });
  show();
})();
