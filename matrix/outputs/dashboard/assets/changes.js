"use strict";
/* Changes: the regressions that stand, then every run, newest first, or what lies between two runs. */
(() => {
  const { load, el, badge, state, date, plural, fail } = Matrix;
  const { rowLink, reasonLink, packages, fold, cells, runName, runLabel } = Parts;
  const KINDS = [
    ["broke", "Broke", "no longer matches"],
    ["mended", "Mended", "matches now"],
    ["changed", "Changed", "has another conclusion, not a match before or after"],
    ["new", "New", "decided for the first time"],
  ];
  const $ = (id) => document.getElementById(id);

  /* The changes of a shard, with their environments by name. */
  const named = ({ changes, environments }) => changes.map((change) => ({ ...change, exporter: environments[change.exporter], converter: environments[change.converter] }));

  // ---- changes between two runs: those of the runs between, combined for each cell
  function folded(shards, conclusions) {
    const found = new Map();
    for (const shard of shards) {
      for (const change of named(shard)) {
        const earlier = found.get(change.cell);
        found.set(change.cell, earlier ? join(earlier, change) : { ...change, run: shard.run, steps: 1 });
      }
    }
    const changes = [];
    for (const change of found.values()) {
      if (change.before === change.after) continue;
      changes.push(change.steps === 1 ? change : { ...change, kind: kind(change, conclusions) });
    }
    return changes;
  }
  function join(first, last) {
    return {
      ...last, before: first.before, before_run: first.before_run, steps: first.steps + 1,
      packages: joinPackages(first.packages, last.packages), same_environment: first.same_environment && last.same_environment,
    };
  }
  function joinPackages(first, last) {
    const found = new Map(first.map(([name, before, after]) => [name, [before, after]]));
    for (const [name, before, after] of last) found.set(name, [found.has(name) ? found.get(name)[0] : before, after]);
    return [...found].filter(([, [before, after]]) => before !== after).map(([name, [before, after]]) => [name, before, after]);
  }
  function kind({ before, after }, conclusions) {
    if (before === null) return "new";
    const was = conclusions[before].verdict === "match";
    const is = conclusions[after].verdict === "match";
    return was && !is ? "broke" : is && !was ? "mended" : "changed";
  }

  // ---- groups: one environment, one conclusion before, one after
  function groups(changes, conclusions) {
    const found = new Map();
    for (const change of changes) {
      const telling = conclusions[change.kind === "mended" ? change.before : change.after];
      const environment = telling.role === "exporter" ? change.exporter : change.converter;
      const key = JSON.stringify([environment, change.before, change.after]);
      if (!found.has(key)) found.set(key, { kind: change.kind, environment, telling, before: change.before, after: change.after, cells: [], changes: [] });
      const group = found.get(key);
      group.cells.push(change.cell);
      group.changes.push(change);
    }
    return [...found.values()].sort((a, b) => b.cells.length - a.cells.length || (a.environment < b.environment ? -1 : 1));
  }
  const distinct = (values) => [...new Set(values.filter(Boolean))];

  function where({ role, stage }) {
    return role ? `${role}/${stage || "?"}` : "";
  }

  function groupView(site, group) {
    const before = group.before === null ? null : site.conclusions[group.before];
    const after = site.conclusions[group.after];
    const title = group.telling.title || group.telling.reason || group.telling.verdict;
    const differing = [...new Map(group.changes.flatMap((change) => change.packages.map((item) => [JSON.stringify(item), item]))).values()];
    const whys = distinct(group.changes.map((change) => change.why));
    const blames = distinct(group.changes.map((change) => change.blame));
    const remedied = after.remedied || (before && before.remedied);
    return el("article", { class: `change k-${group.kind}` },
      el("header", { class: "change-head" },
        el("span", { class: "passage" }, before ? [badge(before), el("span", { class: "arrow" }, el("span", { "aria-hidden": "true" }, "→"), el("span", { class: "offscreen" }, "became"))] : null, badge(after)),
        el("span", { class: "change-row" }, rowLink(site, group.environment)),
        el("span", { class: "change-n muted" }, plural(group.cells.length, "cell"))),
      group.telling.verdict === "match" ? null : el("p", { class: "change-title" }, reasonLink(site, group.telling.reason, title),
        where(group.telling) ? el("span", { class: "muted small" }, ` in ${where(group.telling)}`) : null),
      remedied ? el("p", { class: "small muted" }, `With: ${remedied.join(", ")}`) : null,
      whys.slice(0, 3).map((why) => el("p", { class: "why" }, why)),
      whys.length > 3 ? el("p", { class: "muted small" }, `and ${whys.length - 3} more causes, on the pages of the cells`) : null,
      differing.length ? (differing.length > 12
        ? fold(plural(differing.length, "package differs", "packages differ"), (inside) => inside.append(packages(differing)), { class: "tight-fold" })
        : packages(differing)) : null,
      blames.map((blame) => el("p", { class: "blame" }, blame)),
      cells(group.cells));
  }

  function changesView(site, changes, level) {
    const made = [];
    for (const [id, name, words] of KINDS) {
      const some = changes.filter((change) => change.kind === id);
      if (!some.length) continue;
      const found = groups(some, site.conclusions);
      const list = () => el("div", { class: "change-list" }, found.map((group) => groupView(site, group)));
      const heading = el(`h${level}`, { class: `kind kind-${id}` }, name, " ", el("span", { class: "muted" }, `${plural(some.length, "cell")} · ${words}`));
      const folded_ = id === "new" && found.length > 6;
      made.push(el("section", {}, heading,
        folded_ ? fold(`${plural(found.length, "group")}, by row and conclusion`, (inside) => inside.append(list())) : list()));
    }
    return made;
  }

  // ---- open regressions
  function regressionView(site, regression) {
    const known = site.runs[regression.run];
    const last = site.runs[regression.before_run];
    const rest = regression.count - regression.cells.length;
    return el("article", { class: `change k-broke${regression.new ? " is-new" : ""}` },
      el("header", { class: "change-head" },
        regression.new ? el("span", { class: "tag" }, "new") : null,
        el("h3", { class: "change-name" }, rowLink(site, regression.environment), ": ", reasonLink(site, regression.reason, regression.said || site.reasons[regression.reason]?.title || regression.title)),
        el("span", { class: "change-n muted" }, plural(regression.count, "cell"))),
      el("p", { class: "small muted" }, [regression.reason, where(regression), known ? `since run ${known.id} of ${date(known.started)}` : "", last ? `matched in run ${last.id}` : ""].filter(Boolean).join(" · ")),
      regression.packages.length ? packages(regression.packages) : el("p", { class: "small" }, `${regression.why.charAt(0).toUpperCase()}${regression.why.slice(1)}.`),
      regression.blame ? el("p", { class: "blame" }, regression.blame) : null,
      cells(regression.cells, { rest, elsewhere: "listed in the changes of that run below" }));
  }
  function standing(site) {
    const ordered = [...site.regressions].sort((a, b) => Number(b.new) - Number(a.new));
    const fresh = ordered.filter((regression) => regression.new);
    const old = ordered.filter((regression) => !regression.new);
    const view = (list) => el("div", { class: "change-list" }, list.map((regression) => regressionView(site, regression)));
    if (!ordered.length) return [el("p", { class: "still" }, "No open regressions.")];
    if (!fresh.length) return [el("p", { class: "still" }, "None began with the newest run."), view(old)];
    return [view(fresh), old.length > 3 ? fold(`${plural(old.length, "older regression")}, still open`, (inside) => inside.append(view(old))) : old.length ? view(old) : null];
  }

  // ---- every run, newest first
  const moved = (run) => KINDS.some(([id]) => run.changes[id]);
  function countsView(run) {
    return el("span", { class: "counts" },
      KINDS.filter(([id]) => run.changes[id]).map(([id, name]) => el("span", { class: `count count-${id}` }, `${run.changes[id]} ${name.toLowerCase()}`)),
      run.changes.silent ? el("span", { class: "count muted" }, `${run.changes.silent} undecided`) : null);
  }
  function runView(site, index) {
    const run = site.runs[index];
    return fold([el("h3", { class: "run-name" }, runLabel(run)), countsView(run)], (inside) => {
      inside.append(el("p", { class: "muted" }, "Loading …"));
      load(`changes/${index}`).then((shard) => inside.replaceChildren(...changesView(site, named(shard), 4)), (error) => fail(inside, error));
    }, { class: "run" });
  }
  function everyRun(site) {
    const made = [];
    let quiet = [];
    const still = () => {
      if (!quiet.length) return;
      const silent = quiet.reduce((sum, run) => sum + run.changes.silent, 0);
      const span = quiet.length === 1 ? runName(quiet[0]) : `Runs ${quiet[quiet.length - 1].id} to ${quiet[0].id}`;
      made.push(el("p", { class: "still" }, `${span}: nothing changed${silent ? `; ${plural(silent, "result")} undecided` : ""}.`));
      quiet = [];
    };
    let first = null;
    for (let index = site.runs.length - 1; index >= 0; index--) {
      const run = site.runs[index];
      if (!moved(run)) { quiet.push(run); continue; }
      still();
      const view = runView(site, index);
      first = first || view;
      made.push(view);
    }
    still();
    return { made, first };
  }

  // ---- the page
  function main(site) {
    const [a, b] = [$("run-a"), $("run-b")];
    const heading = $("between-title");
    $("standing").replaceChildren(...standing(site).filter(Boolean));
    site.runs.forEach((run, index) => {
      a.prepend(el("option", { value: String(index) }, runLabel(run)));
      b.prepend(el("option", { value: String(index) }, runLabel(run)));
    });
    a.prepend(el("option", { value: "" }, "the one before"));
    b.prepend(el("option", { value: "" }, "every run"));

    /* Runs go by their ids in the address: positions move when old runs are pruned. */
    const position = (id) => site.runs.findIndex((run) => String(run.id) === id);
    let asked = 0;
    async function show() {
      const turn = ++asked;
      const wanted = state.get();
      const to = wanted.b ? position(wanted.b) : -1;
      const from = wanted.a ? position(wanted.a) : to - 1;
      b.value = to < 0 ? "" : String(to);
      a.value = wanted.a && from >= 0 ? String(from) : "";
      a.disabled = to < 0;
      $("every-run").hidden = to < 0;
      $("said").textContent = "";
      if (to < 0) {
        heading.textContent = "Run by run";
        const { made, first } = everyRun(site);
        $("changes").replaceChildren(...made);
        if (wanted.b || wanted.a) $("said").textContent = "The address names a run that is not in this site; all runs are shown.";
        if (first) first.fill();
        return;
      }
      const [low, high] = from <= to ? [from, to] : [to, from];
      heading.textContent = low < 0 ? runName(site.runs[high]) : `From run ${site.runs[low].id} to run ${site.runs[high].id}`;
      $("changes").replaceChildren(el("p", { class: "muted" }, "Loading …"));
      const needed = [];
      for (let index = low + 1; index <= high; index++) if (moved(site.runs[index])) needed.push(load(`changes/${index}`));
      try {
        const changes = folded(await Promise.all(needed), site.conclusions);
        if (turn !== asked) return;
        const counted = KINDS.map(([id, name]) => [name.toLowerCase(), changes.filter((change) => change.kind === id).length]).filter(([, n]) => n);
        $("said").textContent = low === high ? "These are the same run." : counted.length
          ? `${counted.map(([name, n]) => `${n} ${name}`).join(", ")}${from > to ? "; shown from the older run to the newer" : ""}.`
          : "Nothing changed between these two runs.";
        $("changes").replaceChildren(...changesView(site, changes, 3));
      } catch (error) {
        fail($("changes"), error);
      }
    }
    const id = (select) => (select.value === "" ? "" : String(site.runs[Number(select.value)].id));
    for (const select of [a, b]) {
      select.addEventListener("change", () => {
        state.set(b.value === "" ? {} : { a: id(a), b: id(b) });
        show();
      });
    }
    $("every-run").addEventListener("click", () => { state.set({}); show(); b.focus(); });
    state.onchange(show);
    show();
  }

  load("site").then(main).catch((error) => { fail($("standing"), error); });
})();
