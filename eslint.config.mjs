// Lint the site's scripts. Pages load them unbundled as classic scripts; each shares names by setting them on `window`.

// Every global that a script may use, from the browser and from our other scripts: `no-undef` reports the rest.
const BROWSER = [
  "CustomEvent", "Node", "TextEncoder", "URLSearchParams", "addEventListener", "clearTimeout", "console", "document",
  "getComputedStyle", "history", "innerWidth", "localStorage", "location", "matchMedia", "navigator", "scrollTo",
  "setTimeout", "window",
];
const OURS = ["Matrix", "Parts", "Versions"];

const readonly = (names) => Object.fromEntries(names.map((name) => [name, "readonly"]));
const errors = (names) => Object.fromEntries(names.map((name) => [name, "error"]));

export default [
  {
    files: ["matrix/outputs/dashboard/assets/*.js"],
    languageOptions: { ecmaVersion: 2022, sourceType: "script", globals: readonly([...BROWSER, ...OURS]) },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      // ESLint's recommended rules, by name because the list itself is another package.
      ...errors([
        "constructor-super", "for-direction", "getter-return", "no-async-promise-executor", "no-case-declarations",
        "no-class-assign", "no-compare-neg-zero", "no-cond-assign", "no-const-assign", "no-constant-binary-expression",
        "no-constant-condition", "no-control-regex", "no-debugger", "no-delete-var", "no-dupe-args",
        "no-dupe-class-members", "no-dupe-else-if", "no-dupe-keys", "no-duplicate-case", "no-empty",
        "no-empty-character-class", "no-empty-pattern", "no-empty-static-block", "no-ex-assign",
        "no-extra-boolean-cast", "no-fallthrough", "no-func-assign", "no-global-assign", "no-invalid-regexp",
        "no-irregular-whitespace", "no-loss-of-precision", "no-misleading-character-class",
        "no-new-native-nonconstructor", "no-obj-calls", "no-octal", "no-prototype-builtins", "no-redeclare",
        "no-regex-spaces", "no-self-assign", "no-setter-return", "no-shadow-restricted-names", "no-sparse-arrays",
        "no-this-before-super", "no-undef", "no-unexpected-multiline", "no-unreachable", "no-unsafe-finally",
        "no-unsafe-negation", "no-unsafe-optional-chaining", "no-unused-labels", "no-unused-private-class-members",
        "no-useless-backreference", "no-useless-catch", "no-useless-escape", "no-with", "require-yield", "use-isnan",
        "valid-typeof",
      ]),
      // Beyond that: mistakes that browsers do not report.
      ...errors([
        "array-callback-return", "default-case-last", "eqeqeq", "no-eval", "no-implicit-globals", "no-implied-eval",
        "no-loop-func", "no-new-func", "no-promise-executor-return", "no-return-assign", "no-self-compare",
        "no-template-curly-in-string", "no-throw-literal", "no-unassigned-vars", "no-unmodified-loop-condition",
        "no-unused-expressions", "no-unused-vars", "no-useless-assignment", "no-var", "prefer-const",
        "prefer-promise-reject-errors",
      ]),
      strict: ["error", "global"],
    },
  },
];
