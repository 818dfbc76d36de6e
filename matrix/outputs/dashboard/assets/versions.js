"use strict";
/* Versions and version specifiers as PEP 440 orders and matches them; pre-releases match like any other version. */
(() => {
  const VERSION = new RegExp(
    "^v?(?:(\\d+)!)?(\\d+(?:\\.\\d+)*)" +
    "(?:[-_.]?(a|b|c|rc|alpha|beta|pre|preview)[-_.]?(\\d*))?" +
    "(?:-(\\d+)|[-_.]?(post|rev|r)[-_.]?(\\d*))?" +
    "(?:[-_.]?(dev)[-_.]?(\\d*))?" +
    "(?:\\+([a-z0-9]+(?:[-_.][a-z0-9]+)*))?$", "i");
  const CLAUSE = /^(~=|===|==|!=|<=|>=|<|>)\s*(\S+)$/;
  const PRE = { a: 0, alpha: 0, b: 1, beta: 1, c: 2, rc: 2, pre: 2, preview: 2 };
  const known = new Map();

  function parse(text) {
    const trimmed = String(text).trim();
    if (known.has(trimmed)) return known.get(trimmed);
    const found = VERSION.exec(trimmed);
    if (!found) throw new Error(`“${trimmed}” is not a version; write it like 2.8.0, 1.13 or 2.0rc1.`);
    const number = (digits) => Number(digits || 0);
    const version = {
      epoch: number(found[1]),
      release: found[2].split(".").map(Number),
      pre: found[3] ? [PRE[found[3].toLowerCase()], number(found[4])] : null,
      post: found[5] !== undefined ? number(found[5]) : found[6] ? number(found[7]) : null,
      dev: found[8] ? number(found[9]) : null,
      local: found[10] ? found[10].toLowerCase().split(/[-_.]/).map((part) => (/^\d+$/.test(part) ? Number(part) : part)) : null,
    };
    known.set(trimmed, version);
    return version;
  }

  const order = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  function lists(a, b, rest, each = order) {
    for (let i = 0; i < Math.max(a.length, b.length); i++) {
      const found = each(i < a.length ? a[i] : rest, i < b.length ? b[i] : rest);
      if (found) return found;
    }
    return 0;
  }
  // A development release comes before the pre-releases of the same release.
  const preKey = (v) => v.pre || (v.post === null && v.dev !== null ? [-1, 0] : [9, 0]);
  function locals(a, b) {
    // Numbers sort after words, and longer versions after their prefixes.
    return lists(a, b, null, (x, y) => {
      if (x === null || y === null) return order(x === null ? 0 : 1, y === null ? 0 : 1);
      return typeof x === typeof y ? order(x, y) : typeof x === "number" ? 1 : -1;
    });
  }
  function ordered(a, b, local = true) {
    return order(a.epoch, b.epoch)
      || lists(a.release, b.release, 0)
      || lists(preKey(a), preKey(b), 0)
      || order(a.post ?? -1, b.post ?? -1)
      || order(a.dev ?? Infinity, b.dev ?? Infinity)
      || (local ? locals(a.local || [], b.local || []) : 0);
  }
  const compare = (a, b) => ordered(parse(a), parse(b));

  const sameBase = (a, b) => a.epoch === b.epoch && lists(a.release, b.release, 0) === 0;
  const samePre = (a, b) => String(a.pre) === String(b.pre);
  const from = (first) => (version) => ordered(version, first) >= 0;
  const early = (v) => v.pre !== null || v.dev !== null;
  const begins = (version, epoch, release) =>
    version.epoch === epoch && release.every((part, i) => (version.release[i] || 0) === part);

  function clause(text) {
    const found = CLAUSE.exec(text);
    if (!found) throw new Error(`“${text}” is not a version range; write ==, !=, <=, >=, <, > or ~= and a version, such as >=2.8.`);
    const [, operator, wanted] = found;
    if (operator === "===") return (version, raw) => raw.toLowerCase() === wanted.toLowerCase();
    if (wanted.endsWith(".*")) {
      if (operator !== "==" && operator !== "!=") throw new Error(`“${text}”: .* is allowed with == and != only.`);
      const prefix = parse(wanted.slice(0, -2));
      if (early(prefix) || prefix.post !== null || prefix.local) throw new Error(`“${text}”: .* may only follow numbers, such as ==1.12.*`);
      return (version) => begins(version, prefix.epoch, prefix.release) === (operator === "==");
    }
    const limit = parse(wanted);
    if (limit.local && operator !== "==" && operator !== "!=") throw new Error(`“${text}”: a local version (+…) is allowed with == and != only.`);
    if (operator === "~=") {
      if (limit.release.length < 2) throw new Error(`“${text}”: ~= needs at least two numbers, such as ~=1.12`);
      return (version) => ordered(version, limit, false) >= 0 && begins(version, limit.epoch, limit.release.slice(0, -1));
    }
    switch (operator) {
      case "==": return (version) => ordered(version, limit, limit.local !== null) === 0;
      case "!=": return (version) => ordered(version, limit, limit.local !== null) !== 0;
      case "<=": return (version) => ordered(version, limit, false) <= 0;
      case ">=": return (version) => ordered(version, limit, false) >= 0;
      case "<": {
        // Before a release also means before its pre-releases.
        const first = early(limit) ? limit : { ...limit, dev: 0, local: null };
        return (version) => ordered(version, first) < 0;
      }
      default: {
        // After a release also means after its local builds, and after its post-releases unless one is named.
        if (limit.dev !== null) return from({ ...limit, dev: limit.dev + 1 });
        if (limit.post !== null) return from({ ...limit, post: limit.post + 1, dev: 0 });
        return (version) => ordered(version, limit) > 0 && !(sameBase(version, limit) && samePre(version, limit));
      }
    }
  }

  const compiled = new Map();
  function compile(text) {
    const key = String(text);
    if (!compiled.has(key)) {
      const parts = key.split(",").map((part) => part.trim()).filter(Boolean);
      compiled.set(key, parts.map(clause));
    }
    return compiled.get(key);
  }
  /* Whether a version is in a range such as ">=1.8,<2"; raises an Error with advice where the range is nonsense. What
     is no version itself is in no range. */
  function matches(version, text) {
    const clauses = compile(text);
    let parsed = null;
    try { parsed = parse(version); } catch { return clauses.length === 0; }
    return clauses.every((holds) => holds(parsed, String(version).trim()));
  }

  window.Versions = { compare, matches };
})();
