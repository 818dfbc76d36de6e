"use strict";
/* What every page needs: data shards, elements, verdicts, the state in the address, copy buttons, the theme.
   Texts of logs, models and packages only ever become text nodes or attribute values, never markup. */
(() => {
  const html = document.documentElement;
  const root = html.dataset.root || "";

  // ---- theme, set before the first paint
  const store = {
    get() {
      try { return localStorage.getItem("matrix-theme"); } catch { return null; }
    },
    set(value) {
      try {
        if (value) localStorage.setItem("matrix-theme", value);
        else localStorage.removeItem("matrix-theme");
      } catch { /* blocked: the choice lasts as long as the page */ }
    },
  };
  const chosen = store.get();
  if (chosen === "light" || chosen === "dark") html.dataset.theme = chosen;

  const THEMES = ["", "light", "dark"];
  function themeButton() {
    const button = document.getElementById("theme");
    if (!button) return;
    const say = () => {
      const now = html.dataset.theme || "";
      button.textContent = now === "light" ? "☀ light" : now === "dark" ? "☾ dark" : "◐ auto";
      button.setAttribute("aria-label", `Theme: ${now || "system"}. Change it`);
    };
    button.hidden = false;
    button.addEventListener("click", () => {
      const next = THEMES[(THEMES.indexOf(html.dataset.theme || "") + 1) % THEMES.length];
      if (next) html.dataset.theme = next;
      else delete html.dataset.theme;
      store.set(next);
      say();
      document.dispatchEvent(new CustomEvent("matrix-theme"));
    });
    say();
  }

  // ---- shards: scripts, since a page opened from a folder may not fetch files
  const shards = new Map();
  const waiting = new Map();
  window.matrixShard = (name, data) => {
    waiting.get(name)?.(data);
    waiting.delete(name);
  };
  function load(name) {
    if (!shards.has(name)) {
      shards.set(name, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        const file = `${root}data/${name}.js`;
        waiting.set(name, resolve);
        script.async = true;
        script.src = file.split("/").map((part) => (part === ".." ? part : encodeURIComponent(part))).join("/");
        script.onload = () => {
          script.remove();
          if (waiting.delete(name)) reject(new Error(`${file} is damaged; build the site again.`));
        };
        script.onerror = () => {
          script.remove();
          waiting.delete(name);
          shards.delete(name);
          reject(new Error(`${file} could not be loaded: the file is missing from the site, or the server is down.`));
        };
        document.head.append(script);
      }));
    }
    return shards.get(name);
  }

  // ---- elements
  function el(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (name === "class") element.className = value;
      else if (name === "dataset") Object.assign(element.dataset, value);
      else if (name === "style") for (const [property, text] of Object.entries(value)) element.style.setProperty(property, text);
      else if (name === "value" || name === "checked" || name === "selected" || name === "open") element[name] = value;
      else element.setAttribute(name, value === true ? "" : value);
    }
    add(element, children);
    return element;
  }
  function add(element, children) {
    for (const child of children) {
      if (child === null || child === undefined || child === false || child === "") continue;
      if (Array.isArray(child)) add(element, child);
      else element.append(child instanceof Node ? child : document.createTextNode(String(child)));
    }
  }

  // ---- verdicts: colour, glyph and text agree
  const VERDICTS = {
    match: "✓", with: "✓+", mismatch: "≠", unsupported: "∅", error: "×", crash: "↯", oom: "M", timeout: "T",
    unsatisfiable: "⊥", unavailable: "–", infra: "?",
  };
  const WORDS = {
    match: "the numbers agree within tolerance",
    with: "fails unmodified, but matches with a remedy",
    mismatch: "converted, but the numbers differ",
    unsupported: "the converter reports that it cannot",
    error: "a stage raised an error",
    crash: "a signal ended the process",
    oom: "out of memory",
    timeout: "out of time",
    unsatisfiable: "no set of packages satisfies the pins",
    unavailable: "the interpreter or a wheel is missing on this machine: not a failure of the toolchain",
    infra: "network, disk or engine failed: not a failure of the toolchain",
  };
  const SEEN = Object.fromEntries(Object.entries(VERDICTS).map(([id, glyph]) => [id, Object.freeze({
    id, glyph, text: id === "with" ? "match with" : id, css: `v-${id}`, words: WORDS[id],
    indeterminate: id === "unavailable" || id === "infra",
  })]));
  function verdict(conclusion) {
    const id = typeof conclusion === "string" ? conclusion : conclusion.remedied ? "with" : conclusion.verdict;
    return SEEN[id] || { id, glyph: "?", text: id, css: "v-infra", words: "", indeterminate: true };
  }
  function badge(conclusion) {
    const { glyph, text, css, words } = verdict(conclusion);
    return el("span", { class: `verdict ${css}`, title: words }, el("span", { class: "glyph", "aria-hidden": "true" }, glyph), text);
  }

  // ---- cells
  const cellHref = (id) => `${root}cell.html#${encodeURIComponent(id)}`;
  const encoder = new TextEncoder();
  function fnv1a(text) {
    let hash = 0x811c9dc5;
    for (const byte of encoder.encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
    return hash >>> 0;
  }

  // ---- rows and families; ids are never split, the data has their parts
  /* The row of this name, which may be that of its environment of now. */
  const rowNamed = (site, name) => site.converters.find((row) => row.id === name || row.now === name);
  const NO_FAMILY = { name: "", title: "", source: "onnx", package: null, runtime: "", packages: [], newest: [], stages: [], legs: [] };
  const familyOf = (site, name) => site.families.find((family) => family.name === name) || { ...NO_FAMILY, name, title: name };
  /* A row in words: what runs its artifacts, then [title, version] of the converter and the rest; `short` where there is little room. */
  function rowPackages(site, row, short = false) {
    const family = familyOf(site, row.family);
    const found = family.packages.map((item) => ({ name: item.name, title: short ? item.short : item.title, version: row.versions[item.name] || "" }));
    return { family, runtime: found.find((item) => item.name === family.runtime), converter: found.find((item) => item.name === family.package),
      rest: found.filter((item) => item.name !== family.runtime && item.name !== family.package) };
  }

  // ---- the state of a page, kept in its address
  const state = {
    get: () => Object.fromEntries(new URLSearchParams(location.hash.slice(1))),
    set(values) {
      const kept = Object.entries(values).filter(([, value]) => value !== "" && value !== null && value !== undefined);
      const hash = new URLSearchParams(kept.map(([name, value]) => [name, String(value)])).toString();
      history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
    },
    onchange: (listener) => window.addEventListener("hashchange", () => listener(state.get())),
  };

  // ---- copying; the old way too, since a page from a folder may have no clipboard
  async function copy(button, text) {
    let done;
    try {
      await navigator.clipboard.writeText(text);
      done = true;
    } catch {
      const area = el("textarea", { class: "offscreen", readonly: true, value: text });
      document.body.append(area);
      area.select();
      try { done = document.execCommand("copy"); } catch { done = false; }
      area.remove();
      button.focus();
    }
    const label = button.dataset.label || (button.dataset.label = button.textContent);
    button.textContent = done ? "Copied" : "Select and copy by hand";
    tell(done ? "Copied" : "The browser refused to copy");
    clearTimeout(Number(button.dataset.timer));
    button.dataset.timer = String(setTimeout(() => { button.textContent = label; }, 1800));
  }
  let live;
  function tell(text) {
    if (!live) document.body.append(live = el("div", { class: "offscreen", role: "status" }));
    live.textContent = text;
  }
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-copy]");
    const source = button && document.querySelector(button.dataset.copy);
    if (source) copy(button, "value" in source ? source.value : source.textContent);
  });

  // ---- words
  function date(iso) {
    return iso ? iso.slice(0, 16).replace("T", " ") : "";
  }
  const format = new Intl.NumberFormat("en");
  const number = (value) => format.format(value);
  const plural = (count, one, many) => `${number(count)} ${count === 1 ? one : many || `${one}s`}`;
  function fail(element, error) {
    element.replaceChildren(el("p", { class: "note bad", role: "alert" }, error instanceof Error ? error.message : String(error)));
    if (!(error instanceof Error) || error.name !== "Error") console.error(error);
  }

  document.addEventListener("DOMContentLoaded", themeButton);
  window.Matrix = { root, load, el, verdict, badge, cellHref, fnv1a, rowNamed, familyOf, rowPackages, state, copy, tell, date, number, plural, fail };
})();
