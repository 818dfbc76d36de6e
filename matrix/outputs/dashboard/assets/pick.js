"use strict";
/* Pick: from what the user is fixed on to the toolchains that were seen to do it; or to what to give up. Answers are
   made of measurements alone: a model that was not tried with a toolchain is neither a match nor a failure. */
(() => {
  const { load, el, cellHref, state, plural, fail, root } = Matrix;
  const { compare, matches } = Versions;
  const $ = (id) => document.getElementById(id);
  /* As the page has them: torch, the packages of the families, Python. */
  const FIELDS = [...document.querySelectorAll("[data-wish]")].map((input) => [input.dataset.wish, input.dataset.title]);
  const AT_ONCE = 12;

  /* As the command line reads it: two numbers mean any release of them. */
  function range(text) {
    const spec = text.trim();
    if (!/^\d+(\.\d+)*$/.test(spec)) return spec;
    return spec.split(".").length >= 3 ? `==${spec}` : `==${spec}.*`;
  }

  function main(site, data) {
    const form = $("wishes");
    const inputs = new Map(FIELDS.map(([id]) => [id, $(`wish-${id}`)]));
    const wrong = new Map(FIELDS.map(([id]) => [id, $(`wrong-${id}`)]));

    // ---- the measured toolchains
    const asked = new Map(data.ids.map(([exporter, opset, text]) => [`${exporter} ${opset}`, text]));
    const toolchains = data.toolchains.map(([exporter, opset, converter, match, remedied, failing]) => ({
      exporter: site.exporters[exporter], converter: site.converters[converter], at: [exporter, converter], opset,
      id: asked.get(`${exporter} ${opset}`) + site.converters[converter].id,
      match: new Set(match), remedied: new Set(remedied), failing: new Set(failing),
    }));
    /* Without an exporter it is the converter's own torch that counts, and its Python alone. */
    const versionsOf = ({ exporter, converter }, field) => (field === "torch" && exporter.writes ? [exporter.torch]
      : field === "python" ? [...(exporter.writes ? [exporter.python] : []), converter.python] : [converter.versions[field]]);
    const known = (version) => version || "0";
    const place = (converter) => site.families.findIndex((family) => family.name === converter.family);
    const newest = (a, b) => place(a.converter) - place(b.converter)
      || Matrix.familyOf(site, a.converter.family).newest.reduce((found, field) => found || compare(known(b.converter.versions[field]), known(a.converter.versions[field])), 0)
      || compare(known(b.exporter.torch), known(a.exporter.torch)) || b.opset - a.opset;

    $("models").replaceChildren(...data.models.map((name, i) => el("label", { class: "choice-item" }, el("input", { type: "checkbox", value: String(i), name: "model" }), el("span", {}, name))));
    const boxes = [...$("models").querySelectorAll("input")];

    // ---- wishes
    function wishes() {
      const found = [];
      for (const [field, label] of FIELDS) {
        const input = inputs.get(field);
        const spec = range(input.value);
        let told = "";
        if (spec) {
          try {
            matches("1.0", spec);
            found.push({
              id: field, words: `${label} ${spec}`, clear: () => { input.value = ""; },
              holds: (toolchain) => versionsOf(toolchain, field).every((version) => version && matches(version, spec)),
            });
          } catch (error) {
            told = error.message;
          }
        }
        input.setAttribute("aria-invalid", String(Boolean(told)));
        wrong.get(field).hidden = !told;
        wrong.get(field).textContent = told;
      }
      const changed = $("changed").checked;
      for (const box of boxes) {
        if (!box.checked) continue;
        const model = Number(box.value);
        found.push({
          id: `model ${box.value}`, words: `${data.models[model]} matching`, clear: () => { box.checked = false; },
          holds: (toolchain) => toolchain.match.has(model) || (changed && toolchain.remedied.has(model)),
        });
      }
      return found;
    }

    /* Opsets of one pair of environments are one answer: the opset that proves most stands for it. */
    function answers(fitting, order) {
      const pairs = new Map();
      for (const toolchain of fitting) {
        const key = toolchain.at.join();
        const best = pairs.get(key);
        const better = !best || toolchain.match.size > best.toolchain.match.size
          || (toolchain.match.size === best.toolchain.match.size && toolchain.opset > best.toolchain.opset);
        const opsets = best ? best.opsets : [];
        opsets.push(toolchain);
        pairs.set(key, { toolchain: better ? toolchain : best.toolchain, opsets });
      }
      const proven = (a, b) => b.match.size - a.match.size || a.failing.size - b.failing.size || b.remedied.size - a.remedied.size;
      return [...pairs.values()].sort(({ toolchain: a }, { toolchain: b }) => (order === "newest" ? newest(a, b) || proven(a, b) : proven(a, b) || newest(a, b)));
    }

    // ---- one answer
    const pins = {
      exporter: ({ exporter, at }) => data.pins?.exporters?.[at[0]] || `torch==${exporter.torch}`,
      converter: ({ converter, at }) => data.pins?.converters?.[at[1]] || Object.entries(converter.versions).map(([name, version]) => `${name}==${version}`).join(" "),
    };
    let made = 0;
    function pinsView(title, text, python) {
      const id = `pins-${++made}`;
      return el("div", { class: "pins" },
        el("p", { class: "muted small" }, `${title}, Python ${python}`),
        el("div", { class: "pins-line" }, el("code", { id }, text), el("button", { type: "button", class: "copy", dataset: { copy: `#${id}` }, "aria-label": `Copy: ${text}` }, "Copy")));
    }
    function modelsLine(label, css, toolchain, models) {
      if (!models.size) return null;
      const cell = (model) => data.models[model] + toolchain.id;
      return el("p", { class: "models-line small" }, el("span", { class: `models-label ${css}` }, label), " ",
        [...models].map((model, i) => [i ? ", " : "", el("a", { href: cellHref(cell(model)) }, data.models[model])]));
    }
    function named(converter) {
      const { family, runtime, converter: own, rest } = Matrix.rowPackages(site, converter);
      const words = [runtime, runtime === own ? null : own, ...rest].filter((item) => item?.version).map((item) => `${item.title} ${item.version}`);
      return words.length ? words : [family.title];
    }
    const decided = ({ match, remedied, failing }) => match.size + remedied.size + failing.size;
    function answerView({ toolchain, opsets }, first) {
      const { exporter, converter, opset, match, remedied, failing } = toolchain;
      const known = decided(toolchain);
      const [leading, ...rest] = named(converter);
      const others = opsets.filter((other) => other !== toolchain).sort((a, b) => b.opset - a.opset);
      const unknown = data.models.length - known;
      return el("li", { class: "toolchain" },
        el("div", { class: "toolchain-head" },
          el("h3", {}, leading, el("span", { class: "muted" }, rest.map((words) => ` · ${words}`).join(""), exporter.writes ? ` ← torch ${exporter.torch}, opset ${opset}` : "")),
          el("span", { class: "proof" }, el("strong", {}, `${match.size} of ${known}`), ` ${known === 1 ? "model matches" : "models match"}`)),
        modelsLine("Match with a change", "is-with", toolchain, remedied),
        modelsLine("Fail", "is-fail", toolchain, failing),
        el("p", { class: "muted small" },
          unknown > 0 ? `${plural(unknown, "model")} undecided with it. ` : "",
          others.length ? `At other opsets: ${others.map((other) => `${other.opset} (${other.match.size} of ${decided(other)})`).join(", ")}. ` : "",
          converter.page ? el("a", { href: root + converter.page }, "Row with every package and hash") : null),
        el("details", { class: "pins-fold", open: first }, el("summary", {}, "Pins and matching models"),
          modelsLine("Match", "is-match", toolchain, match),
          exporter.writes ? pinsView(`Exporter ${exporter.id}`, pins.exporter(toolchain), exporter.python) : null,
          pinsView(`Converter ${converter.id}`, pins.converter(toolchain), converter.python)));
    }

    // ---- nothing fits: the fewest wishes to drop, and the result of each way
    function relaxed(wanted) {
      const ways = new Map();
      let least = Infinity;
      for (const toolchain of toolchains) {
        const broken = wanted.filter((wish) => !wish.holds(toolchain));
        if (broken.length > least) continue;
        if (broken.length < least) { least = broken.length; ways.clear(); }
        const key = broken.map((wish) => wish.id).join("|");
        if (!ways.has(key)) ways.set(key, { broken, found: [] });
        ways.get(key).found.push(toolchain);
      }
      const impossible = wanted.filter((wish) => !toolchains.some((toolchain) => wish.holds(toolchain)));
      return { ways: [...ways.values()].sort((a, b) => b.found.length - a.found.length), impossible };
    }
    function relaxedView(wanted) {
      const { ways, impossible } = relaxed(wanted);
      const pairs = (found) => new Set(found.map((toolchain) => toolchain.at.join())).size;
      return el("div", { class: "note bad relaxed" },
        impossible.map((wish) => el("p", {}, "No toolchain measured here has ", el("strong", {}, wish.words), ", whatever else is dropped.")),
        ways.length ? el("p", {}, ways[0].broken.length === 1 ? "Dropping one of these is enough:" : `At least ${ways[0].broken.length} have to be dropped together:`) : null,
        el("ul", { class: "ways" }, ways.slice(0, 8).map(({ broken, found }) => el("li", {},
          el("button", { type: "button", class: "way", onclick: () => { for (const wish of broken) wish.clear(); changed(); } }, `Without ${broken.map((wish) => wish.words).join(" and ")}`),
          ` ${plural(pairs(found), "toolchain")}`))),
        el("p", { class: "muted small" }, "Other toolchains may work, but were not measured."));
    }

    // ---- the page
    let shown = [];
    let upTo = AT_ONCE;
    function list() {
      $("answers").replaceChildren(...shown.slice(0, upTo).map((answer, i) => answerView(answer, i === 0)));
      $("more").hidden = shown.length <= upTo;
      $("more").textContent = `Show ${Math.min(AT_ONCE, shown.length - upTo)} more`;
    }
    function show() {
      upTo = AT_ONCE;
      const wanted = wishes();
      const order = form.elements.order.value;
      const invalid = FIELDS.filter(([id]) => !wrong.get(id).hidden).map(([, label]) => label);
      shown = answers(toolchains.filter((toolchain) => wanted.every((wish) => wish.holds(toolchain))), order);
      const ignored = invalid.length ? ` The value of ${invalid.join(" and ")} could not be read and is ignored.` : "";
      $("said").textContent = (shown.length
        ? `${plural(shown.length, "toolchain")} ${wanted.length ? (shown.length === 1 ? "fits" : "fit") : "measured"}, ${order === "newest" ? "newest" : "most proven"} first.`
        : toolchains.length ? "No toolchain measured here satisfies all of this." : "No toolchain has been measured yet.") + ignored;
      $("relaxed").replaceChildren(...(shown.length || !toolchains.length ? [] : [relaxedView(wanted)]));
      list();
    }
    function changed() {
      state.set({
        ...Object.fromEntries(FIELDS.map(([id]) => [id, inputs.get(id).value.trim()])),
        models: boxes.filter((box) => box.checked).map((box) => data.models[Number(box.value)]).join(","),
        changed: $("changed").checked ? "1" : "", order: form.elements.order.value === "newest" ? "newest" : "",
      });
      show();
    }
    function restore() {
      const wanted = state.get();
      for (const [id] of FIELDS) inputs.get(id).value = wanted[id] || "";
      const models = new Set((wanted.models || "").split(","));
      for (const box of boxes) box.checked = models.has(data.models[Number(box.value)]);
      $("changed").checked = wanted.changed === "1";
      form.elements.order.value = wanted.order === "newest" ? "newest" : "proven";
      show();
    }
    form.addEventListener("input", changed);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(changed));
    $("more").addEventListener("click", () => {
      const next = upTo;
      upTo += AT_ONCE;
      $("answers").append(...shown.slice(next, upTo).map((answer) => answerView(answer, false)));
      $("more").hidden = shown.length <= upTo;
      $("more").textContent = `Show ${Math.min(AT_ONCE, shown.length - upTo)} more`;
    });
    state.onchange(restore);
    restore();
  }

  Promise.all([load("site"), load("pick")]).then(([site, data]) => main(site, data)).catch((error) => fail($("said"), error));
})();
